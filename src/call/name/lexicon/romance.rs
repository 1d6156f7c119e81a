use super::Part;
pub const SPANISH: Part = Part {
    roles: &[],
    phrases: &[],
};
pub const PORTUGUESE: Part = Part {
    roles: &[],
    phrases: &[],
};
pub const ITALIAN: Part = Part {
    roles: &[],
    phrases: &[],
};
pub const FRENCH: Part = Part {
    roles: &[],
    phrases: &[],
};
