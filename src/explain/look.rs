//! Asks the engine about one container, and whether its log can be read. Decides nothing.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::find;
use crate::record::{Container, Details};
use crate::shutdown;
use crate::source::docker::engine::{Engine, EngineError, EngineInfo, Inspected, LogQuery};
use crate::source::docker::{self, Settings, Strategy};

/// What is known of the container.
#[derive(Debug)]
pub(super) struct Facts {
    /// As the agent knows it.
    pub(super) container: Arc<Container>,
    /// As the engine calls it, such as `running`.
    pub(super) state: String,
    /// It is the one that this process runs in.
    pub(super) is_own: bool,
    /// How its log is read.
    pub(super) reading: Reading,
}

/// How a log is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// From this file of the json-file driver.
    File(PathBuf),
    /// Through the engine, for this reason.
    Api(String),
    /// Not at all: the container is attached to.
    Attach,
    /// Not at all.
    Nothing,
    /// The engine did not tell.
    Unknown(String),
}

/// Asks; an error says why nothing can be said of the container.
pub(super) async fn look(settings: &Settings, wanted: &str) -> Result<Facts, String> {
    let (engine, info, listed) = docker::reached(settings).await?;
    let found = find::find(&listed, wanted)?;
    let asked = docker::answer(engine.inspect(&found.id)).await?;
    let inspected = asked.map_err(|error| error.to_string())?;
    let inspected = inspected.ok_or("the container was removed while it was asked about")?;
    let reading = Box::pin(reading(&engine, settings, &info, &inspected)).await;
    let is_own = docker::own_container_id().is_some_and(|own| own == inspected.id);
    let host = settings.hostname.clone().or(info.host).unwrap_or_default();
    let Inspected { id, name, image, labels, variables, driver, tty, inspection, state, .. } =
        inspected;
    let details = Some(Arc::new(Details { driver, tty, inspection }));
    let container = Arc::new(Container { id, name, image, labels, variables, host, details });
    Ok(Facts { container, state, is_own, reading })
}

// As a follower finds it out: the file first, then the engine, then what the operator allows.
async fn reading(
    engine: &Engine,
    settings: &Settings,
    info: &EngineInfo,
    container: &Inspected,
) -> Reading {
    let mut why = "DOWNSPOUT_STRATEGY=api".to_owned();
    if settings.strategy == Strategy::Auto {
        match file(docker::containers_folder(settings, info), container).await {
            Ok(path) => return Reading::File(path),
            Err(reason) => why = reason,
        }
    }
    let query = LogQuery { follow: false, since: None, tail: Some(0) };
    match docker::answer(engine.logs(&container.id, query)).await {
        Ok(Ok(_)) => Reading::Api(why),
        Ok(Err(EngineError::NotReadable { .. })) if settings.attach => Reading::Attach,
        Ok(Err(EngineError::NotReadable { .. })) => Reading::Nothing,
        Ok(Err(error)) => Reading::Unknown(error.to_string()),
        Err(_) => Reading::Unknown("Docker does not answer when it is asked for the log".into()),
    }
}

// The error says why the engine is asked.
async fn file(folder: PathBuf, container: &Inspected) -> Result<PathBuf, String> {
    let path = docker::log_file(&folder, &container.id);
    let shown = path.display().to_string();
    let (opened, path, has_folder) = shutdown::blocking(move || {
        let opened = File::open(&path).map(drop);
        (opened, path, folder.is_dir())
    })
    .await;
    let (driver, never_ran) = (container.driver.as_str(), container.state == "created");
    match opened {
        Ok(()) => Ok(path),
        Err(_) if driver != "json-file" => Err(format!("its log driver is {driver}")),
        // The engine makes it at the start.
        Err(error) if error.kind() == ErrorKind::NotFound && never_ran && has_folder => Ok(path),
        Err(error) => Err(format!("its file {shown} cannot be read: {error}")),
    }
}
