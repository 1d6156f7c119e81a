use super::Part;
pub const GERMAN: Part = Part {
    roles: &[],
    phrases: &[],
};
pub const DUTCH: Part = Part {
    roles: &[],
    phrases: &[],
};
