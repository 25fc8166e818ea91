//! What the engine's clock says beside ours.

use super::{Engine, EngineError, reply};
use crate::record::Timestamp;

impl Engine {
    /// Nanoseconds by which the engine's clock is ahead of ours, as far as that is certain: 0 if it
    /// told a time between the question and its answer. `None` if it does not tell.
    pub async fn clock_ahead(&self) -> Result<Option<i64>, EngineError> {
        let docker = self.control()?;
        let asked = Timestamp::now();
        let told = self.ask(
            "/info",
            Box::pin(docker.info()),
            |reply| reply.system_time,
            |reply| reply::text(reply, "/SystemTime"),
        );
        let told = told.await?;
        let answered = Timestamp::now();
        let told = told.as_deref().and_then(reply::moment);
        Ok(told.map(|told| told.nanos() - told.clamp(asked, answered.max(asked)).nanos()))
    }
}
