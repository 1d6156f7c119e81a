//! How much a model was told, in words that a caller can hear: whether a call that moved has its history is then known
//! from outside.

/// How the sentence begins.
const BEGINNING: &str = "You have said ";
/// And ends.
const END: &str = " things so far";

/// What a model says that was told so many of the caller's turns.
pub fn told(turns: usize) -> String {
    format!("{BEGINNING}{turns}{END}.")
}

/// The number in a reply that has that sentence in it.
pub fn told_in(reply: &str) -> Option<usize> {
    let (_, after) = reply.split_once(BEGINNING)?;
    after.split_once(END)?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_tells_is_found_among_other_words() {
        let reply = format!("Well. {} What else?", told(12));
        assert_eq!(told_in(&reply), Some(12));
        assert_eq!(told_in("You have said many things so far."), None);
    }
}
