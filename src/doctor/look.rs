//! Asks the engine for what the findings are made of. Decides nothing.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{Instant, timeout_at};

use crate::source::docker::engine::{Engine, EngineInfo, Inspected, Listed};
use crate::source::docker::{self, Settings};

/// For all inspections together.
const INSPECTIONS: Duration = Duration::from_secs(20);
/// Inspections at the same moment.
const BESIDE: usize = 8;

/// What the engine said.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) info: EngineInfo,
    pub(super) endpoint: String,
    /// Nanoseconds by which its clock is ahead; `None` if it does not tell.
    pub(super) ahead: Option<i64>,
    pub(super) containers: Vec<Container>,
    /// Containers that were not inspected, and why the first of them was not.
    pub(super) unknown: Option<(usize, String)>,
}

/// A container that was inspected.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) facts: Inspected,
    pub(super) running: bool,
}

/// Asks; an error says why nothing can be known.
pub(super) async fn look(settings: &Settings) -> Result<Look, String> {
    let (engine, info, listed) = docker::reached(settings).await?;
    // A socket proxy may forbid it.
    let ahead = docker::answer(engine.clock_ahead()).await;
    let ahead = ahead.ok().and_then(Result::ok).flatten();
    let (containers, unknown) = Box::pin(inspect(&engine, listed)).await;
    let endpoint = engine.endpoint().to_string();
    Ok(Look { info, endpoint, ahead, containers, unknown })
}

async fn inspect(
    engine: &Engine,
    listed: Vec<Listed>,
) -> (Vec<Container>, Option<(usize, String)>) {
    let own = docker::own_container_id();
    let listed = listed.into_iter().filter(|listed| own.as_deref() != Some(listed.id.as_str()));
    let mut left: HashMap<String, String> = listed.map(|each| (each.id, each.name)).collect();
    let ids: Vec<String> = left.keys().cloned().collect();
    let ask = |id: String| Box::pin(async move { (engine.inspect(&id).await, id) });
    let mut answers = stream::iter(ids).map(ask).buffer_unordered(BESIDE);
    let (mut containers, mut why) = (Vec::new(), None);
    let end = Instant::now() + INSPECTIONS;
    while let Ok(Some((answer, id))) = timeout_at(end, answers.next()).await {
        match answer {
            Ok(found) => {
                left.remove(&id);
                containers.extend(found.map(|facts| {
                    let running = facts.running || facts.restarting;
                    Container { facts, running }
                }));
            }
            Err(error) => {
                why.get_or_insert_with(|| error.to_string());
            }
        }
    }
    let slow = || format!("it took longer than {} s", INSPECTIONS.as_secs());
    let unknown = (!left.is_empty()).then(|| (left.len(), why.unwrap_or_else(slow)));
    (containers, unknown)
}
