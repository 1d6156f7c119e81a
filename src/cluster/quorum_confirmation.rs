//! A primary asks a majority whether it still is one: once for all who want to know meanwhile. Each
//! asking costs a message to every voter, which the engine gives up after a heartbeat; hundreds of
//! calls that move at the same moment would keep their own answers from coming in time.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Rounds of asking, one at a time.
#[derive(Debug, Default)]
pub(super) struct QuorumConfirmations<T> {
    /// Rounds that have begun.
    begun: AtomicU64,
    /// The last round that ended, and its answer. Held while a round is under way: whoever comes then
    /// waits for it, in the order of coming, and needs one that began later.
    last: Mutex<(u64, Option<T>)>,
}

impl<T: Clone> QuorumConfirmations<T> {
    /// The answer of a round that began after this was called: `ask` puts the question, unless somebody
    /// else who waited has. Given up in the middle, the next who waits asks anew.
    pub(super) async fn after_now(&self, ask: impl Future<Output = T>) -> T {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let (round, Some(answer)) = &*last
            && *round > begun
        {
            return answer.clone();
        }
        let round = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = ask.await;
        *last = (round, Some(answer.clone()));
        answer
    }

    /// Rounds that have begun so far.
    #[cfg(test)]
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{join_all, pending};
    use std::time::Duration;
    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    /// Counts the rounds; each waits for a permit and answers with its number.
    struct Majority {
        asked: AtomicU64,
        answers: Semaphore,
        rounds: QuorumConfirmations<u64>,
    }

    impl Majority {
        fn new(permits: usize) -> Self {
            Self {
                asked: AtomicU64::new(0),
                answers: Semaphore::new(permits),
                rounds: QuorumConfirmations::default(),
            }
        }

        async fn confirms(&self) -> u64 {
            let ask = async {
                let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
                self.answers.acquire().await.unwrap().forget();
                number
            };
            self.rounds.after_now(ask).await
        }
    }

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_cost_two_rounds() {
        let majority = Majority::new(0);
        let all = join_all((0..100).map(|_| majority.confirms()));
        tokio::pin!(all);
        assert!(futures_util::poll!(&mut all).is_pending());
        majority.answers.add_permits(3);
        let answers = all.await;
        assert!(answers.iter().all(|round| (1..=2).contains(round)));
        assert_eq!(majority.asked.load(Ordering::SeqCst), 2);
        assert_eq!(majority.confirms().await, 3, "nobody is told of the past");
    }

    #[tokio::test]
    async fn who_asks_while_a_round_is_under_way_gets_the_next() {
        let majority = Majority::new(0);
        let first = majority.confirms();
        tokio::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        let late = majority.confirms();
        tokio::pin!(late);
        assert!(futures_util::poll!(&mut late).is_pending());
        majority.answers.add_permits(2);
        assert_eq!((first.await, late.await), (1, 2));
    }

    #[tokio::test]
    async fn a_round_that_is_given_up_holds_nobody_up() {
        let rounds = QuorumConfirmations::<u64>::default();
        let given_up = timeout(Duration::from_millis(1), rounds.after_now(pending()));
        assert!(given_up.await.is_err());
        assert_eq!(rounds.after_now(async { 7 }).await, 7);
    }
}
