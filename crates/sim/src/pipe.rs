//! A connection between two processes: in order, late, sometimes doubled, and when it breaks, what is under way is lost and
//! each side hears of it in its own time.

use crate::bug::Bug;
use crate::world::World;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub struct Sender<T> {
    world: Arc<World>,
    messages: mpsc::UnboundedSender<(Instant, T)>,
    last: std::sync::Mutex<Instant>,
}

impl<T> Sender<T> {
    /// False when the other side is known to be gone.
    pub fn send(&self, message: T) -> bool {
        let mut last = crate::world::lock(&self.last);
        let at = (Instant::now() + self.world.between_ms(self.world.policy.message_ms)).max(*last);
        *last = at;
        self.messages.send((at, message)).is_ok()
    }
}

/// One direction of a connection.
pub fn pipe<T: Clone + Send + 'static>(world: &Arc<World>) -> (Sender<T>, mpsc::UnboundedReceiver<T>) {
    let (messages, mut sent) = mpsc::unbounded_channel::<(Instant, T)>();
    let (out, received) = mpsc::unbounded_channel();
    let sender = Sender { world: Arc::clone(world), messages, last: Instant::now().into() };
    let world = Arc::clone(world);
    let breaker = Arc::clone(&world.breaker);
    tokio::spawn(async move {
        let carry = async {
            while let Some((at, message)) = sent.recv().await {
                tokio::time::sleep_until(at).await;
                if world.has(Bug::DeafNode) && world.fault(20, 1000) {
                    continue;
                }
                if world.fault(world.policy.doubled, 1000) {
                    let _ = out.send(message.clone());
                }
                let _ = out.send(message);
            }
        };
        tokio::select! {
            biased;
            () = breaker.notified() => {}
            () = carry => return,
        }
        world.delay((0, 300)).await;
    });
    (sender, received)
}
