use super::Part;
pub const POLISH: Part = Part {
    roles: &[],
    phrases: &[],
};
