//! What the HTTP server serves beside its pages: live tails, and routes that are made while the agent
//! runs. Never opens anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::draft::Draft;
use crate::encode::Terminal;
use crate::metrics::Metrics;
use crate::options::Problem;
use crate::registry::{Folder, Object};
use crate::route::{Inherited, Opening, Route};
use crate::select::Allowed;

/// Routes as they may be made over HTTP: what their templates need is asked for from the start, for
/// an inspection is kept once. All of it would be too much: it takes some 10 KiB a container.
const USUAL: [&str; 3] = [
    "raw://localhost:514",
    "syslog://localhost:514?format=logspout",
    "syslog://localhost:514?format=rfc5424&tag={{.ImageID}}{{.Command}}{{.Container.ID}}\
     {{.Container.Name}}{{.Container.Created}}{{.Container.Config.Hostname}}\
     {{.Container.Config.Domainname}}{{.Container.Config.Image}}{{.Container.Config.Labels}}\
     {{.Container.Config.Cmd}}{{.Container.Config.Env}}{{.Container.State.Pid}}\
     {{.Container.HostConfig.LogConfig}}{{.Container.NetworkSettings.IPAddress}}",
];

/// Where logspout listens if only the other half is said.
const LOGSPOUT_PORT: u16 = 80;

/// Live tails, and routes over HTTP.
#[derive(Debug)]
pub struct Api {
    /// Whether there are live tails.
    pub live_tails: bool,
    /// Who may change routes, and who may look; `None` where nobody may and everybody may.
    pub token: Option<String>,
    /// The routes that an earlier run, or logspout, has stored.
    pub stored: Stored,
    /// The routes given at the start, for showing them: in the order of `Config::routes`.
    pub given: Vec<Object>,
    /// How one more route is opened.
    pub openings: Openings,
}

/// The routes that were made over HTTP, in their folder.
#[derive(Debug, Default)]
pub struct Stored {
    /// Where they are; `None` if nothing is stored.
    pub folder: Option<Folder>,
    /// Those that could be read.
    pub objects: Vec<Object>,
    /// What is wrong with the others.
    pub problems: Vec<Problem>,
}

/// What every route of a run is opened with.
#[derive(Debug, Clone)]
pub struct Openings {
    terminal: Terminal,
    fallbacks: BTreeMap<&'static str, (&'static str, String)>,
    logspout: Inherited,
    allowed: Allowed,
    /// Variables of containers that may be shown.
    variables: BTreeSet<String>,
    /// What is kept of inspections; see [`crate::template::Needs`].
    fields: BTreeSet<Vec<String>>,
}

impl Api {
    /// What the settings say, beside the routes that were made from them.
    pub(super) fn new(
        draft: &mut Draft,
        routes: &[Route],
        stored: Stored,
        openings: Openings,
    ) -> Self {
        let given = routes.iter().zip(&draft.routes);
        Self {
            live_tails: draft.live_tails,
            given: given.map(|(route, uri)| Object::of_uri(&route.name, uri)).collect(),
            token: draft.api_token.take(),
            stored,
            openings,
        }
    }
}

impl Stored {
    /// Reads them where there is such a folder.
    pub(super) fn read(draft: &Draft) -> Self {
        let Some(folder) = draft.routes_path.as_deref().and_then(Folder::at) else {
            return Self::default();
        };
        let (objects, problems) = folder.load();
        Self { folder: Some(folder), objects, problems }
    }
}

impl Openings {
    /// What the settings say. `fields`: what is kept of inspections.
    pub(super) fn new(
        draft: &Draft,
        terminal: Terminal,
        logspout: Option<&Inherited>,
        fields: BTreeSet<Vec<String>>,
    ) -> Self {
        Self {
            terminal,
            fallbacks: draft.fallbacks.clone(),
            logspout: logspout.cloned().unwrap_or_else(Inherited::nothing),
            allowed: draft.labels.clone(),
            variables: draft.container_variables.clone(),
            fields,
        }
    }

    /// Opens a route under its usual name with `#` and `id` behind it, which no other has.
    pub fn open(&self, uri: &str, id: &str, metrics: &Metrics) -> Result<Route, Vec<Problem>> {
        let opening = Opening {
            terminal: self.terminal,
            metrics,
            fallbacks: &self.fallbacks,
            logspout: &self.logspout,
            allowed: &self.allowed,
        };
        let route = Route::parse_as(uri, |name| format!("{name}#{id}"), &opening)?;
        let mut problems = hidden(&route, &self.variables);
        let everything: &[String] = &[];
        let is_kept = |path: &Vec<String>| {
            self.fields.iter().any(|kept| kept == everything || path.starts_with(kept))
        };
        for path in route.needs().fields.iter().filter(|path| !is_kept(path)) {
            let path = path.join(".");
            problems.push(Problem::new(format!(
                "a template shows .Container.{path}, which is not kept of containers in this run; use \
                 it in a route that is given at the start"
            )));
        }
        if problems.is_empty() { Ok(route) } else { Err(problems) }
    }
}

/// Standard output if no route is given and none is to come. Whoever looks at lines over HTTP, or makes
/// routes there, does not want all of them once more in the log of our own container.
pub(super) fn fall_back(draft: &mut Draft, stored: &Stored) {
    let by_http = draft.live_tails || draft.api_token.is_some();
    if draft.routes.is_empty() && !by_http && stored.objects.is_empty() {
        draft.routes.push("stdout://".to_owned());
    }
}

/// What a route's templates would show of the containers' environments and may not.
pub(super) fn hidden(route: &Route, allowed: &BTreeSet<String>) -> Vec<Problem> {
    let names = route.needs().variables.into_iter().filter(|name| !allowed.contains(name));
    let problem = |name: String| {
        Problem::new(format!(
            "a template shows the variable {name} of containers, which may hold secrets; allow it with \
             DOWNSPOUT_CONTAINER_VARIABLES={name}"
        ))
        .of(&route.name)
    };
    names.map(problem).collect()
}

/// A word on a template that shows the containers' whole environment, of which nothing may be shown.
pub(super) fn empty_environment(route: &Route, allowed: &BTreeSet<String>) -> Option<String> {
    let is_environment = |path: &Vec<String>| *path == ["Config", "Env"];
    let shows = allowed.is_empty() && route.needs().fields.iter().any(is_environment);
    shows.then(|| {
        format!(
            "{}: a template shows .Container.Config.Env, which may hold secrets and is empty here; name \
             what it may show in DOWNSPOUT_CONTAINER_VARIABLES",
            route.name
        )
    })
}

/// What is to be kept of inspections: for the routes, for those that are stored, and for those that
/// may be made over HTTP.
pub(super) fn fields(
    draft: &Draft,
    routes: &[Route],
    stored: &Stored,
    opening: &Opening<'_>,
) -> BTreeSet<Vec<String>> {
    let mut fields: BTreeSet<_> = routes.iter().flat_map(|route| route.needs().fields).collect();
    let nowhere = Metrics::new();
    let opening = Opening { metrics: &nowhere, ..*opening };
    let usual = USUAL.iter().filter(|_| draft.api_token.is_some()).map(|uri| (*uri).to_owned());
    // What is wrong with one that is stored is said once it is opened.
    let uris = usual.chain(stored.objects.iter().filter_map(|object| object.uri().ok()));
    let others = uris.filter_map(|uri| Route::parse(&uri, &opening).ok());
    fields.extend(others.flat_map(|route| route.needs().fields));
    fields
}

/// Whether this is no port of the user's: Kubernetes sets `HTTP_PORT=tcp://…` for a service that is
/// called http.
pub(super) fn is_linked(port: &str) -> bool {
    port.contains("://")
}

/// Where the server listens: as we are told, or else as logspout is. The second value is a word on
/// what does not count.
pub(super) fn listens_at(draft: &Draft) -> Result<(Option<SocketAddr>, Option<String>), Problem> {
    if draft.http_is_given
        && draft.http.is_none()
        && (draft.live_tails || draft.api_token.is_some())
    {
        let note = "DOWNSPOUT_HTTP=off serves neither live tails nor routes; set an address";
        return Ok((None, Some(note.to_owned())));
    }
    let of = |name: &str| draft.logspout.get(name).map(String::as_str);
    let port = of("PORT").map(|text| ("PORT", text));
    let port = port.or(of("HTTP_PORT").map(|text| ("HTTP_PORT", text)));
    let port = port.filter(|(_, text)| !is_linked(text));
    let bind = of("HTTP_BIND_ADDRESS");
    if port.is_none() && bind.is_none() {
        return Ok((draft.http, None));
    }
    if draft.http_is_given {
        let note = "DOWNSPOUT_HTTP says where pages are served; HTTP_BIND_ADDRESS, PORT and HTTP_PORT \
                    do not count";
        return Ok((draft.http, Some(note.to_owned())));
    }
    let number = |(name, text): (&str, &str)| {
        text.parse::<u16>().map_err(|_| {
            let text = text.escape_debug();
            Problem::new(format!(
                "{name}={text}: expected a port from 0 to 65535, such as 80; or set DOWNSPOUT_HTTP, \
                 which counts alone"
            ))
        })
    };
    let address = |text: &str| {
        text.parse::<IpAddr>().map_err(|_| {
            let text = text.escape_debug();
            Problem::new(format!(
                "HTTP_BIND_ADDRESS={text}: expected an IP address such as 127.0.0.1"
            ))
        })
    };
    let port = port.map(number).transpose()?.unwrap_or(LOGSPOUT_PORT);
    let bind = bind.map(address).transpose()?.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    Ok((Some(SocketAddr::new(bind, port)), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given, `DOWNSPOUT_HTTP`, and where that listens, with a note or without.
    type Row =
        (&'static [(&'static str, &'static str)], Option<&'static str>, (&'static str, bool));

    fn listens(
        given: &[(&'static str, &str)],
        http: Option<&str>,
    ) -> Result<(String, bool), String> {
        let mut draft = Draft { http: "0.0.0.0:9514".parse().ok(), ..Draft::default() };
        if let Some(http) = http {
            (draft.http, draft.http_is_given) = (http.parse().ok(), true);
        }
        draft.logspout = given.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        let (at, note) = listens_at(&draft).map_err(|problem| problem.to_string())?;
        Ok((at.map_or("off".to_owned(), |at| at.to_string()), note.is_some()))
    }

    #[test]
    fn logspouts_variables_say_where_to_listen_unless_ours_does() {
        let rows: [Row; 10] = [
            (&[], None, ("0.0.0.0:9514", false)),
            (&[], Some("127.0.0.1:1"), ("127.0.0.1:1", false)),
            (&[("PORT", "8000")], None, ("0.0.0.0:8000", false)),
            (&[("HTTP_PORT", "8001")], None, ("0.0.0.0:8001", false)),
            (&[("PORT", "8000"), ("HTTP_PORT", "8001")], None, ("0.0.0.0:8000", false)),
            (&[("HTTP_BIND_ADDRESS", "127.0.0.1")], None, ("127.0.0.1:80", false)),
            (&[("HTTP_BIND_ADDRESS", "::1"), ("PORT", "1")], None, ("[::1]:1", false)),
            (&[("HTTP_PORT", "tcp://10.0.0.1:80")], None, ("0.0.0.0:9514", false)),
            (&[("PORT", "8000")], Some("127.0.0.1:1"), ("127.0.0.1:1", true)),
            (&[("PORT", "8000")], Some("off"), ("off", true)),
        ];
        for (given, http, (at, noted)) in rows {
            assert_eq!(listens(given, http), Ok((at.to_owned(), noted)), "{given:?} {http:?}");
        }
        let refused = listens(&[("PORT", "http")], None).unwrap_err();
        assert!(refused.starts_with("PORT=http: expected a port"), "{refused}");
        let refused = listens(&[("HTTP_BIND_ADDRESS", "localhost")], None).unwrap_err();
        assert!(refused.starts_with("HTTP_BIND_ADDRESS=localhost: expected an IP"), "{refused}");
    }
}
