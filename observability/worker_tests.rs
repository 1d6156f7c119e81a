use super::*;
use std::cell::Cell;

fn worker(workers: &WorkerRegistry) -> Worker {
    workers.register("purge", "a full log", Duration::from_secs(3_600))
}

#[test]
fn more_to_do_is_done_at_once_and_an_error_waits_for_the_period() {
    let workers = WorkerRegistry::default();
    let rounds = Cell::new(0);
    // After the third round it would pause for an hour, unless it is told to end.
    let thread = std::thread::current();
    worker(&workers).run_thread(
        || rounds.get() == 3,
        || {
            rounds.set(rounds.get() + 1);
            match rounds.get() {
                1 | 2 => Ok(WorkerProgress::More),
                _ => {
                    thread.unpark();
                    Err("the disk is full, says +14155550123".to_owned())
                }
            }
        },
    );
    let report = &workers.report()["purge"];
    assert_eq!((report.rounds, report.failures), (3, 1));
    assert_eq!(report.state, WorkerState::Waiting);
    let error = report.last_error.as_deref().unwrap();
    assert!(error.starts_with("the disk is full"), "{error}");
    assert!(!error.contains("4155550"), "{error}");
}

#[test]
fn a_round_under_way_is_seen() {
    let workers = WorkerRegistry::default();
    let rounds = Cell::new(0);
    worker(&workers).run_thread(
        || rounds.get() == 1,
        || {
            rounds.set(1);
            let report = &workers.report()["purge"];
            assert_eq!((report.state, report.rounds), (WorkerState::Running, 0));
            assert!(report.running_ms.is_some() && report.ended_ms_ago.is_none());
            Ok(WorkerProgress::More)
        },
    );
    let report = &workers.report()["purge"];
    assert_eq!((report.state, report.rounds), (WorkerState::More, 1));
    assert!(report.running_ms.is_none() && report.took_ms.is_some());
}

#[tokio::test]
async fn a_task_goes_on_at_once_while_there_is_more_and_then_waits() {
    let workers = WorkerRegistry::default();
    let left = Cell::new(3);
    let work = worker(&workers).run(|| async {
        left.set(left.get() - 1);
        match left.get() {
            0 => Ok(WorkerProgress::Done),
            _ => Ok(WorkerProgress::More),
        }
    });
    // It waits for an hour then, and is dropped.
    let ended = tokio::time::timeout(Duration::from_millis(200), work).await;
    assert!(ended.is_err());
    let report = &workers.report()["purge"];
    assert_eq!((report.state, report.rounds), (WorkerState::Waiting, 3));
}
