//! A socket opened: whose call it is, and where that call stands.

use super::returning::further;
use super::{Cause, Hold, LIVE_MAX, SUPERSEDE_MAX, Setup, Switchboard};
use crate::call::clock;
use crate::call::greeting::{Greeting, GreetingKind};
use crate::call::limits::{Place, Refusal};
use crate::call::naming::NameStart;
use crate::call::others;
use crate::call::registry::{Control, Found, Ringing, Seat};
use crate::call::session::Session;
use crate::call::state::{Action, CallState, Event, Setting};
use crate::call::transport::Wire;
use calldex_observability::catalog;
use calldex_storage::Recall;
use calldex_storage::record::{Caller, LiveCall};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A read that began as the call rang is waited for this long when its socket is here.
const EARLIER_MAX: Duration = Duration::from_millis(250);

impl Switchboard {
    /// A socket opened and said whose call it is: runs that call until the socket, or the call,
    /// is over.
    pub async fn connect<W: Wire>(&self, wire: &mut W, setup: Setup<'_>) {
        if setup.came_before() {
            // A call that was on other instances since is not taken up where this one left it.
            others::reach(&self.storage, &*self.others, setup.mark).await;
        }
        let (found, seat) = self.room.registry.connect(&setup.arrival.call_sid);
        let mut actions = Vec::new();
        let claimed = matches!(found, Found::Awaited);
        // A state that is not where the call stands goes, and its place with it, before the call takes one.
        let still = |state: Box<CallState>, place, why| {
            setup.is_of(&state).then_some((state, place, Some(why)))
        };
        let here = match found {
            Found::Ringing(ringing) => {
                Some(self.first_session(*ringing, &setup, &mut actions).await)
            }
            Found::Parked(parked) => still(parked.state, parked.place, setup.came_by()),
            Found::Live(control) => supersede(&control)
                .await
                .and_then(|(state, place)| still(state, place, setup.came_by())),
            Found::Awaited | Found::Nothing => None,
        };
        let taken = match here {
            Some(taken) => Ok(taken),
            None => self.take_up(&setup, claimed, &mut actions).await,
        };
        match taken {
            Ok((state, place, resumed)) => {
                self.session(wire, &setup, state, actions, resumed)
                    .run(seat, place)
                    .await;
            }
            Err(refusal) => self.turn_away(wire, &setup, &seat, refusal).await,
        }
    }

    fn session<'a, W: Wire>(
        &'a self,
        wire: &'a mut W,
        setup: &Setup<'_>,
        mut state: Box<CallState>,
        mut actions: Vec<Action>,
        resumed: Option<&'static str>,
    ) -> Session<'a, W> {
        if let Some(reason) = resumed {
            catalog::CALLS_RESUMED_TOTAL.with(reason).increment(1);
            let greeted = setup
                .greeting
                .filter(|_| setup.reconnected.is_some())
                .map(|(text, _)| text);
            let session_id = setup.session_id;
            let counted = setup.is_counted(&state);
            let lost = setup.came_back().is_none();
            state.on(
                Event::Resumed {
                    session_id,
                    greeted,
                    counted,
                    lost,
                },
                clock::now(),
                &mut actions,
            );
        }
        // One that can go on elsewhere leaves, even where others are said goodbye to.
        if let Some(event) = self.leaving() {
            state.on(event, clock::now(), &mut actions);
        }
        if self.limits.is_parting() {
            state.on(Event::Drain, clock::now(), &mut actions);
        }
        Session::new(wire, &self.room, state, actions)
    }

    /// The webhook was answered here. A look-up that came too late for the greeting is there by now:
    /// the name was not said, but it is known.
    async fn first_session(
        &self,
        ringing: Ringing,
        setup: &Setup<'_>,
        actions: &mut Vec<Action>,
    ) -> Taken {
        let Ringing {
            mut setting,
            mut greeting,
            place,
            earlier,
            ..
        } = ringing;
        if let Some(earlier) = earlier {
            // Read while the webhook was answered; a disk that is slower than that is not waited for.
            let read = timeout(EARLIER_MAX, earlier).await;
            setting.earlier = read.ok().and_then(Result::ok).flatten();
        }
        let again = setting.earlier.is_some();
        if greeting.kind == GreetingKind::TimedOut
            && setting.vouched
            && let Some(number) = &setting.number
            && let Some(Recall::Known(caller)) = self.storage.directory.peek(number)
        {
            greeting.know(&caller);
            setting.caller = Some(uncounted(caller));
        }
        let state = CallState::new(setting, setup.session_id, &greeting, clock::now(), actions);
        if again {
            tell_again(&state);
        }
        (Box::new(state), place, None)
    }

    /// A call that this process knows nothing of: from storage, or a first session whose webhook
    /// another instance answered. `claimed`: it was another's until its action came here.
    async fn take_up(
        &self,
        setup: &Setup<'_>,
        claimed: bool,
        actions: &mut Vec<Action>,
    ) -> Result<Taken, Refusal> {
        let place = self.limits.readmit()?;
        let line = Arc::clone(self.lines.of(&setup.arrival.called));
        let stored = self.stored(setup).await;
        let (mut setting, chosen) = self.recognise(&setup.arrival, line).await;
        if !matches!(stored, Stored::Unknown) {
            setting.caller = setting.caller.map(uncounted);
        }
        match stored {
            // A call that was connected again goes on in an epoch of its own, even where no turn is seen.
            Stored::Known(live) if setup.reconnected.is_some() || !live.turns.is_empty() => {
                let reason = self.resumed_because(setup, claimed, &live);
                let state = CallState::restored(setting, *live, clock::now());
                Ok((Box::new(state), place, Some(reason)))
            }
            Stored::Unreadable => {
                let state = CallState::unread(setting, clock::now());
                Ok((Box::new(state), place, Some("restart")))
            }
            first => {
                if let Stored::Over(epoch) = &first {
                    setting.earlier = Some(*epoch);
                }
                self.begin_here(setup, &setting, &chosen, &first);
                let greeting = said_greeting(setup, chosen);
                let now = clock::now();
                let again = setting.earlier.is_some();
                let state = CallState::new(setting, setup.session_id, &greeting, now, actions);
                if again {
                    tell_again(&state);
                }
                Ok((Box::new(state), place, None))
            }
        }
    }

    /// A first session whose webhook did not come to this process: to another instance, which
    /// counted the call, or to a process before this one.
    fn begin_here(&self, setup: &Setup<'_>, setting: &Setting, chosen: &Greeting, stored: &Stored) {
        if self.is_several() {
            self.took_over("webhook");
            // Should the other instance be gone with what it had not yet given to anybody.
            self.keep_begun(&setup.arrival, setting);
        } else if matches!(stored, Stored::Unknown) {
            self.begin(&setup.arrival, setting, chosen);
        }
    }

    /// Why a call is taken up from storage: another instance had it, or a process before this one.
    fn resumed_because(&self, setup: &Setup<'_>, claimed: bool, live: &LiveCall) -> &'static str {
        if let Some(reason) = setup.came_back() {
            return reason;
        }
        if claimed {
            return "taken_over";
        }
        if self.is_several() && !self.is_ours(&live.conversation) {
            self.took_over(setup.came_by());
            return "taken_over";
        }
        catalog::CONVERSATIONS_RECOVERED_TOTAL
            .with("resumed")
            .increment(1);
        "restart"
    }

    /// What storage has of a call. One that was closed for not coming back in time, and comes back
    /// after all, goes on.
    async fn stored(&self, setup: &Setup<'_>) -> Stored {
        let again = setup.came_before();
        let (call_sid, others) = (&setup.arrival.call_sid, &*self.others);
        let there = if again {
            others::latest(&self.storage, others, call_sid, setup.mark).await
        } else {
            others::reach(&self.storage, others, setup.mark).await;
            None
        };
        let reading = self.storage.conversations.read(call_sid);
        let here = timeout(LIVE_MAX, reading).await;
        let unreadable = !matches!(here, Ok(Ok(_)));
        match further(here.ok().and_then(Result::ok).flatten(), there) {
            Some(call) if again || call.is_live() => Stored::Known(Box::new(call)),
            None if again && unreadable => Stored::Unreadable,
            Some(call) => Stored::Over(call.conversation.epoch),
            None => Stored::Unknown,
        }
    }

    /// Whether the call is known, here or to storage: for a reference that has expired meanwhile.
    pub async fn knows(&self, call_sid: &str) -> bool {
        let live = self.storage.conversations.live(call_sid);
        self.holds(call_sid) || matches!(timeout(LIVE_MAX, live).await, Ok(Ok(Some(_))))
    }

    async fn turn_away<W: Wire>(
        &self,
        wire: &mut W,
        setup: &Setup<'_>,
        seat: &Seat,
        refusal: Refusal,
    ) {
        catalog::CALLS_REFUSED_TOTAL
            .with(refusal.label())
            .increment(1);
        self.room
            .registry
            .leave(&setup.arrival.call_sid, seat.session);
        wire.close(1013, "no place for this call").await;
    }
}

impl Setup<'_> {
    /// How a call comes that had a session before: by the TwiML of an action, or by Twilio's own
    /// reconnect.
    fn came_by(&self) -> &'static str {
        match self.reconnected {
            Some(_) => self.came_back().unwrap_or("action"),
            None => "reconnect",
        }
    }

    /// The same for one whose session was not lost.
    fn came_back(&self) -> Option<&'static str> {
        match self.reconnected?.cause {
            Cause::Lost => None,
            Cause::Unanswered => Some("unanswered"),
            Cause::Ended => Some("returned"),
        }
    }

    /// Whether `state`, left here by an earlier session, is still where the call stands: not if
    /// another instance has taken the call since.
    fn is_of(&self, state: &CallState) -> bool {
        let owner = self.reconnected.and_then(|hold| hold.owner);
        owner.is_none_or(|owner| owner <= state.epoch())
    }

    /// Whether the return by this session was counted by a claim that still holds.
    fn is_counted(&self, state: &CallState) -> bool {
        let counted = |hold: Hold| hold.counted && hold.owner == Some(state.epoch());
        self.reconnected.is_some_and(counted)
    }
}

fn tell_again(state: &CallState) {
    catalog::CALLS_RESUMED_TOTAL.with("rang_again").increment(1);
    tracing::warn!(call = %state.call_sid(), "a call with the CallSid of one that is over; both are kept in one conversation");
}

/// What storage says about a call that this process does not know.
enum Stored {
    /// It has it.
    Known(Box<LiveCall>),
    /// It has one with the same `CallSid` that is over, in this epoch.
    Over(u32),
    /// It has it not.
    Unknown,
    /// It cannot say, and the call was up before.
    Unreadable,
}

/// A call's state, its place, and why it was resumed if it was.
type Taken = (Box<CallState>, Place, Option<&'static str>);

/// The state of a session whose socket is dead without its knowing.
async fn supersede(
    control: &tokio::sync::mpsc::Sender<Control>,
) -> Option<(Box<CallState>, Place)> {
    let (give, take) = oneshot::channel();
    control.try_send(Control::Supersede(give)).ok()?;
    timeout(SUPERSEDE_MAX, take).await.ok()?.ok()
}

/// The greeting that the session's TwiML held; the one chosen now has what is known of the caller.
fn said_greeting(setup: &Setup<'_>, chosen: Greeting) -> Greeting {
    match setup.greeting {
        Some((text, asks_name)) if text != chosen.text => Greeting {
            start: NameStart {
                people: chosen.start.people,
                ..NameStart::default()
            },
            ..Greeting::said(text, asks_name)
        },
        _ => chosen,
    }
}

/// A caller as known before this call, which storage has counted already.
fn uncounted(mut caller: Arc<Caller>) -> Arc<Caller> {
    let before = Arc::make_mut(&mut caller);
    before.calls = before.calls.saturating_sub(1);
    caller
}
