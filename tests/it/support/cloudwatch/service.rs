//! The way of a call: what the script does to its connection, signature, what the script refuses,
//! quota, contract, and what the script does to its reply.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::super::http::{Answer, Client, Reply, Request};
use super::super::receiver::Close;
use super::clock::{Clock, http_date};
use super::contract::{Refusal, Rejection, refuse};
use super::received::Received;
use super::script::{Fault, Operation, Quota, Script};
use super::signature::{Keys, Scope, verify};
use super::store::{Contents, Outcome};
use super::{CONTENT_TYPE, REGION};

/// What all threads of a service share.
pub struct Shared {
    clock: Clock,
    keys: Keys,
    state: Mutex<State>,
    /// Told whenever a call comes, has its effect or ends.
    pub changed: Condvar,
}

/// What it is and what it was told.
#[derive(Default)]
pub struct State {
    /// All that it has seen.
    pub contents: Contents,
    /// What it does wrong.
    pub script: Script,
    /// How often something may be asked.
    pub quotas: BTreeMap<Operation, Quota>,
    /// How late every call is answered.
    pub latency: Duration,
    /// How often calls that hang have been released.
    pub releases: usize,
    in_flight: BTreeMap<(Option<String>, Option<String>), usize>,
    // Other calls than puts, which have no stream of their own.
    others_in_flight: usize,
}

/// What is to be done with a call, as it was when the call came.
struct Orders {
    number: usize,
    // With the number of its rule.
    fault: Option<(usize, Fault)>,
    latency: Duration,
    // How often calls that hang had been released before.
    releases: usize,
}

/// What goes back, and what becomes of the call.
type Done = (Answer, Outcome);

impl Shared {
    /// Without groups.
    pub fn new(clock: Clock, keys: Keys) -> Self {
        Self { clock, keys, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Its state, to be looked at or changed.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Carries a call out, or does what the script says.
    pub fn answer(&self, request: &Request, client: &Client<'_>) -> Answer {
        let received = Received::read(request);
        let orders = self.state().enlist(request, &received);
        self.changed.notify_all();
        let number = orders.number;
        let (mut answer, outcome) = match self.before(&orders, client) {
            Some(close) => {
                let is_scripted = orders.fault.is_some();
                (Answer::End(close), Outcome { is_scripted, ..Outcome::default() })
            }
            None => self.carry_out(orders, request, received, client),
        };
        if let Answer::Reply(reply) | Answer::Cut(reply) = &mut answer {
            let id = format!("00000000-0000-4000-8000-{number:012x}");
            let head = [("x-amzn-RequestId", id), ("Date", http_date(self.clock.now()))];
            reply.headers.extend(head.map(|(name, value)| (name.to_owned(), value)));
        }
        self.state().finish(number, outcome);
        self.changed.notify_all();
        answer
    }

    // How the connection ends if the call never gets to the service.
    fn before(&self, orders: &Orders, client: &Client<'_>) -> Option<Close> {
        if orders.latency > Duration::ZERO && !client.wait_for(orders.latency) {
            return Some(Close::Fin);
        }
        match orders.fault.as_ref()? {
            (_, Fault::ResetBeforeCommit) => Some(Close::Reset),
            (_, Fault::CloseBeforeCommit) => Some(Close::Fin),
            (rule, Fault::Hang(bound)) => {
                let start = Instant::now();
                let is_over = || {
                    let state = self.state();
                    let is_late = bound.is_some_and(|bound| start.elapsed() >= bound);
                    is_late || state.releases != orders.releases || !state.script.holds(*rule)
                };
                (!client.wait(is_over)).then_some(Close::Fin)
            }
            _ => None,
        }
    }

    fn carry_out(
        &self,
        orders: Orders,
        request: &Request,
        received: Received,
        client: &Client<'_>,
    ) -> Done {
        let (number, fault) = (orders.number, orders.fault.map(|(_, fault)| fault));
        let refusal = fault.as_ref().and_then(Fault::refusal);
        let mut outcome = Outcome { is_scripted: fault.is_some(), ..Outcome::default() };
        let reply = match self.serve(number, request, received, refusal) {
            Ok((reply, rejection)) => {
                outcome.is_committed = true;
                outcome.rejection = rejection;
                Reply::new(200, CONTENT_TYPE, reply)
            }
            Err(refusal) => {
                outcome.code = Some(refusal.code.clone()).filter(|code| !code.is_empty());
                outcome.message = Some(refusal.message.clone());
                refusal.reply()
            }
        };
        self.changed.notify_all();
        let answer = match fault {
            Some(Fault::ResetAfterCommit) => Answer::End(Close::Reset),
            Some(Fault::CloseAfterCommit) => Answer::End(Close::Fin),
            Some(Fault::CutReply) => Answer::Cut(reply),
            Some(Fault::SlowReply(delay)) if !client.wait_for(delay) => Answer::End(Close::Fin),
            _ => Answer::Reply(reply),
        };
        if let Answer::Reply(reply) = &answer {
            outcome.status = Some(reply.status);
        }
        (answer, outcome)
    }

    fn serve(
        &self,
        number: usize,
        request: &Request,
        received: Received,
        refusal: Option<Refusal>,
    ) -> Result<(String, Rejection), Refusal> {
        let now = self.clock.now();
        verify(request, Scope { region: REGION, service: "logs" }, &self.keys, now)?;
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let mut state = self.state();
        let quota = state.quotas.get_mut(&received.operation);
        if quota.is_some_and(|quota| !quota.take()) {
            return refuse("ThrottlingException", "Rate exceeded");
        }
        if request.method != "POST" || request.target != "/" {
            return Err(Refusal::new(404, "UnknownOperationException", ""));
        }
        if request.header("content-type") != Some(CONTENT_TYPE) {
            let text = format!("the content type must be {CONTENT_TYPE}");
            return refuse("SerializationException", &text);
        }
        let json = received.json?;
        let Some(put) = received.put else {
            state.contents.change(&received.operation, &json)?;
            return Ok(("{}".to_owned(), Rejection::default()));
        };
        let batch = put?.check()?;
        let rejection = state.contents.check(&batch, now)?;
        let mut reply = serde_json::json!({ "nextSequenceToken": format!("{number:056}") });
        if let Some(info) = rejection.info(batch.events.len()) {
            reply["rejectedLogEventsInfo"] = info;
        }
        if let Some(error) = batch.entity_error {
            reply["rejectedEntityInfo"] = serde_json::json!({ "errorType": error });
        }
        state.contents.store(number, batch, rejection);
        Ok((reply.to_string(), rejection))
    }
}

impl State {
    fn enlist(&mut self, request: &Request, received: &Received) -> Orders {
        let mut call = received.call(request);
        call.number = self.contents.calls.len();
        if call.operation == Operation::PutLogEvents {
            let stream = (call.group.clone(), call.stream.clone());
            let own = self.in_flight.entry(stream).or_default();
            *own += 1;
            call.in_flight_of_stream = *own;
        } else {
            self.others_in_flight += 1;
        }
        call.in_flight = self.in_flight.values().sum::<usize>() + self.others_in_flight;
        let fault = self.script.next(&call, received.batch());
        let number = call.number;
        self.contents.calls.push(call);
        Orders { number, fault, latency: self.latency, releases: self.releases }
    }

    fn finish(&mut self, number: usize, outcome: Outcome) {
        let call = &mut self.contents.calls[number];
        call.finished = Some(Instant::now());
        call.outcome = Some(outcome);
        if call.operation != Operation::PutLogEvents {
            self.others_in_flight -= 1;
            return;
        }
        let stream = (call.group.clone(), call.stream.clone());
        let own = self.in_flight.get_mut(&stream).unwrap();
        *own -= 1;
        if *own == 0 {
            self.in_flight.remove(&stream);
        }
    }
}
