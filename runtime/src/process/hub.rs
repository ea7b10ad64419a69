//! Distributes the events of one process to its subscribers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{End, Event};

/// Events that a subscriber may lag behind before the process has to wait.
const QUEUE: usize = 8;
/// How long one of several subscribers may hold up the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the events of one process meet their subscribers.
pub(super) struct Hub {
    state: Mutex<State>,
}

enum State {
    Open {
        subscribers: Vec<mpsc::Sender<Event>>,
        last_output: Instant,
        /// Events that wait for a slow subscriber.
        pending: usize,
    },
    Closed {
        end: End,
    },
}

/// What a subscriber gets.
pub enum Subscription {
    /// Events from now on; the last one is [`Event::End`].
    Live(mpsc::Receiver<Event>),
    /// The process has ended already.
    Ended(End),
}

impl Default for Hub {
    fn default() -> Self {
        let state = State::Open {
            subscribers: Vec::new(),
            last_output: Instant::now(),
            pending: 0,
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

impl Hub {
    /// Joins; earlier output is not repeated.
    pub(super) fn subscribe(&self) -> Subscription {
        match &mut *self.lock() {
            State::Closed { end } => Subscription::Ended(*end),
            State::Open { subscribers, .. } => {
                let (sender, receiver) = mpsc::channel(QUEUE);
                subscribers.push(sender);
                Subscription::Live(receiver)
            }
        }
    }

    /// Hands an event to everybody. Waits for a slow subscriber, which is what
    /// slows a process down to the speed of its reader; where others wait with
    /// it, the slow one is dropped in the end.
    pub(super) async fn publish(&self, event: Event) {
        let (slow, mut alone) = {
            let mut state = self.lock();
            let State::Open {
                subscribers,
                last_output,
                pending,
            } = &mut *state
            else {
                return;
            };
            *last_output = Instant::now();
            let alone = subscribers.len() == 1;
            let mut slow = Vec::new();
            subscribers.retain(|subscriber| match subscriber.try_send(event.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    slow.push(subscriber.clone());
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            });
            if slow.is_empty() {
                return;
            }
            *pending += 1;
            (slow, alone)
        };
        let _pending = Pending(self);
        let mut deadline = Instant::now() + PATIENCE;
        for subscriber in slow {
            // A vanished reader ends the wait, too.
            let mut sending = std::pin::pin!(subscriber.send(event.clone()));
            while timeout_at(deadline, &mut sending).await.is_err() {
                let others = self.has_others(&subscriber);
                if others && !alone {
                    self.drop_subscriber(&subscriber);
                    break;
                }
                // Who joined meanwhile waits as long as anybody else, but not forever.
                alone = !others;
                deadline = Instant::now() + PATIENCE;
            }
        }
    }

    /// Ends the events for everybody, present and future.
    pub(super) fn close(&self, end: End) {
        let previous = std::mem::replace(&mut *self.lock(), State::Closed { end });
        let State::Open { subscribers, .. } = previous else {
            return;
        };
        for subscriber in subscribers {
            if let Err(mpsc::error::TrySendError::Full(event)) = subscriber.try_send(Event::End(end)) {
                tokio::spawn(async move { subscriber.send(event).await });
            }
        }
    }

    /// Whether the process has ended.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed { .. })
    }

    /// When output was handed over last, or the hub was opened: now while a
    /// subscriber still has to take some.
    pub(super) fn last_output(&self) -> Option<Instant> {
        match &*self.lock() {
            State::Open { pending: 1.., .. } => Some(Instant::now()),
            State::Open { last_output, .. } => Some(*last_output),
            State::Closed { .. } => None,
        }
    }

    /// Whether anybody else listens.
    fn has_others(&self, subscriber: &mpsc::Sender<Event>) -> bool {
        match &*self.lock() {
            State::Open { subscribers, .. } => subscribers
                .iter()
                .any(|other| !other.same_channel(subscriber) && !other.is_closed()),
            State::Closed { .. } => false,
        }
    }

    fn drop_subscriber(&self, slow: &mpsc::Sender<Event>) {
        if let State::Open { subscribers, .. } = &mut *self.lock() {
            subscribers.retain(|subscriber| !subscriber.same_channel(slow));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event that waits for a slow subscriber.
struct Pending<'a>(&'a Hub);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let State::Open {
            pending, last_output, ..
        } = &mut *self.0.lock()
        {
            *pending = pending.saturating_sub(1);
            *last_output = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::process::{Exit, OutputKind};

    fn output(text: &'static str) -> Event {
        Event::Data(OutputKind::Stdout, Bytes::from_static(text.as_bytes()))
    }

    fn live(hub: &Hub) -> mpsc::Receiver<Event> {
        match hub.subscribe() {
            Subscription::Live(receiver) => receiver,
            Subscription::Ended(end) => panic!("ended: {end:?}"),
        }
    }

    #[tokio::test]
    async fn every_subscriber_gets_future_output_and_the_end() {
        let hub = Hub::default();
        hub.publish(output("lost")).await;
        let mut receivers = [live(&hub), live(&hub)];
        hub.publish(output("seen")).await;
        let end = End::Exited(Exit::Code(3));
        hub.close(end);
        for receiver in &mut receivers {
            assert_eq!(receiver.recv().await, Some(output("seen")));
            assert_eq!(receiver.recv().await, Some(Event::End(end)));
            assert_eq!(receiver.recv().await, None);
        }
        assert!(matches!(hub.subscribe(), Subscription::Ended(found) if found == end));
    }

    #[tokio::test(start_paused = true)]
    async fn one_slow_subscriber_of_two_is_dropped_in_the_end() {
        let hub = Hub::default();
        let mut slow = live(&hub);
        let mut fast = live(&hub);
        for _ in 0..=QUEUE {
            hub.publish(output("x")).await;
            assert_eq!(fast.recv().await, Some(output("x")));
        }
        while slow.recv().await.is_some() {}
        hub.publish(output("y")).await;
        assert_eq!(fast.recv().await, Some(output("y")));
    }

    #[tokio::test(start_paused = true)]
    async fn who_joins_while_the_only_reader_stalls_gets_output_in_the_end() {
        let hub = Arc::new(Hub::default());
        let mut stalled = live(&hub);
        for _ in 0..QUEUE {
            hub.publish(output("x")).await;
        }
        let publisher = tokio::spawn({
            let hub = Arc::clone(&hub);
            async move {
                hub.publish(output("x")).await;
                hub.publish(output("y")).await;
            }
        });
        tokio::time::sleep(PATIENCE * 10).await;
        assert!(!publisher.is_finished(), "a reader that is alone sets the speed");
        let mut late = live(&hub);
        let joined = Instant::now();
        assert_eq!(late.recv().await, Some(output("y")));
        assert!(joined.elapsed() <= PATIENCE * 2);
        for _ in 0..QUEUE {
            assert_eq!(stalled.recv().await, Some(output("x")));
        }
        assert_eq!(stalled.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn output_is_not_over_while_a_reader_has_to_take_some() {
        let hub = Arc::new(Hub::default());
        let mut reader = live(&hub);
        for _ in 0..QUEUE {
            hub.publish(output("x")).await;
        }
        let publisher = tokio::spawn({
            let hub = Arc::clone(&hub);
            async move { hub.publish(output("x")).await }
        });
        tokio::time::sleep(PATIENCE / 2).await;
        assert_eq!(hub.last_output(), Some(Instant::now()));
        reader.recv().await;
        publisher.await.unwrap();
        let taken = Instant::now();
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(hub.last_output(), Some(taken));
    }

    #[tokio::test]
    async fn end_reaches_a_subscriber_whose_queue_is_full() {
        let hub = Hub::default();
        let mut receiver = live(&hub);
        for _ in 0..QUEUE {
            hub.publish(output("x")).await;
        }
        hub.close(End::DeadlineExceeded);
        let mut last = None;
        while let Some(event) = receiver.recv().await {
            last = Some(event);
        }
        assert_eq!(last, Some(Event::End(End::DeadlineExceeded)));
    }
}
