//! The codes and bodies of `/routes`, over routes that are only a list.

use std::sync::Mutex;

use http_body_util::Full;
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::*;

#[derive(Debug, Default)]
struct List(Mutex<Vec<Object>>);

impl Routes for List {
    fn list(&self) -> Vec<Object> {
        self.0.lock().unwrap().clone()
    }

    fn put(
        &self,
        object: Object,
    ) -> Pin<Box<dyn Future<Output = Result<Object, Refusal>> + Send + '_>> {
        Box::pin(async {
            let object = object.identified().map_err(|why| Refusal::Bad(why.to_string()))?;
            object.uri().map_err(|why| Refusal::Bad(why.to_string()))?;
            self.0.lock().unwrap().push(object.clone());
            Ok(object)
        })
    }

    fn delete<'a>(
        &'a self,
        id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>> {
        Box::pin(async move {
            if id == "fixed" {
                return Err(Refusal::Conflict("fixed is the operator's".to_owned()));
            }
            let mut list = self.0.lock().unwrap();
            let before = list.len();
            list.retain(|object| object.id != id);
            if list.len() < before { Ok(()) } else { Err(Refusal::Unknown) }
        })
    }
}

struct Site(RoutesApi);

impl Site {
    fn new(token: Option<&str>, readable: bool) -> Self {
        let token = token.map(|token| Token::new(token.to_owned()));
        Self(RoutesApi { routes: Arc::new(List::default()), token, readable })
    }

    async fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let reply = self.0.answer(request).await;
        let status = reply.status().as_u16();
        assert_eq!(reply.headers().contains_key(WWW_AUTHENTICATE), status == 401);
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

const ROUTE: &str = r#"{"id":"a","adapter":"syslog","address":"h:514"}"#;
const SHOWN: &str =
    "{\n  \"id\": \"a\",\n  \"adapter\": \"syslog\",\n  \"address\": \"h:514\"\n}\n";

#[tokio::test]
async fn routes_are_made_shown_and_ended_with_logspouts_codes_and_bodies() {
    let site = Site::new(Some("t"), false);
    let not_found = (404, "404 page not found\n".to_owned());
    assert_eq!(site.ask("GET", "/routes", "t", "").await, (200, "[]\n".into()));
    assert_eq!(site.ask("POST", "/routes", "t", ROUTE).await, (201, SHOWN.into()));
    assert_eq!(site.ask("GET", "/routes/a", "t", "").await, (200, SHOWN.into()));
    let list = site.ask("GET", "/routes", "t", "").await.1;
    let lines = ["[", "  {", "    \"id\": \"a\",", "    \"adapter\": \"syslog\","];
    assert!(list.starts_with(&lines.join("\n")) && list.ends_with("\n  }\n]\n"), "{list}");
    assert_eq!(site.ask("DELETE", "/routes/a", "t", "").await, (200, String::new()));
    assert_eq!(site.ask("DELETE", "/routes/a", "t", "").await, not_found);
    assert_eq!(site.ask("GET", "/routes/a", "t", "").await, not_found);
    for other in ["/routes/", "/routes/a/b", "/routesx"] {
        assert_eq!(site.ask("GET", other, "t", "").await, not_found, "{other}");
    }
    for (method, path) in [("PUT", "/routes"), ("DELETE", "/routes"), ("POST", "/routes/a")] {
        assert_eq!(site.ask(method, path, "t", ROUTE).await, (405, String::new()), "{method}");
    }
    assert_eq!(site.ask("DELETE", "/routes/fixed", "t", "").await.0, 409);
}

#[tokio::test]
async fn what_is_no_route_is_refused_in_words() {
    let site = Site::new(Some("t"), false);
    for (body, start) in [
        ("", "Bad request: EOF"),
        ("{", "Bad request: EOF"),
        ("[1]", "Bad request: "),
        (r#"{"options":[1]}"#, "Bad request: "),
        (r#"{"source":{},"target":{}}"#, "Bad route: bad adapter: ''"),
        (r#"{"id":"..","adapter":"syslog","address":"h"}"#, "Bad route: bad id: '..'"),
    ] {
        let (status, said) = site.ask("POST", "/routes", "t", body).await;
        assert!(status == 400 && said.starts_with(start) && said.ends_with('\n'), "{body}: {said}");
    }
    let long = format!("{}{ROUTE}", " ".repeat(64 * 1024));
    assert_eq!(site.ask("POST", "/routes", "t", &long).await.0, 413);
    assert_eq!(site.ask("GET", "/routes", "t", "").await, (200, "[]\n".into()));
}

#[tokio::test]
async fn who_has_no_token_changes_nothing_and_reads_only_what_is_open() {
    for (token, readable, given, read, write) in [
        (Some("t"), true, "x", 401, 401),
        (Some("t"), false, "", 401, 401),
        (Some("t"), false, "t", 200, 201),
        (None, true, "", 200, 403),
        (None, false, "", 404, 403),
    ] {
        let site = Site::new(token, readable);
        let case = format!("{token:?} {readable} {given}");
        assert_eq!(site.ask("GET", "/routes", given, "").await.0, read, "{case}");
        let (status, said) = site.ask("POST", "/routes", given, ROUTE).await;
        assert_eq!(status, write, "{case}");
        assert!(status == 201 || said.contains("DOWNSPOUT_API_TOKEN"), "{said}");
        let deleted = site.ask("DELETE", "/routes/a", given, "").await.0;
        assert_eq!(deleted, if write == 201 { 200 } else { write }, "{case}");
    }
}
