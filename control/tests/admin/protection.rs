//! Who may ask. Each rule is broken by a request that keeps all others.

use std::net::SocketAddr;

use crate::client::{Answer, connect, exchange, get, post};
use crate::scene::Scene;

const TOKEN: &str = "control.admin_token = \"opensesame\"";

/// Asks for `/stats` with these header lines and nothing else.
fn ask(address: SocketAddr, headers: &str) -> Answer {
    let request = format!("GET /stats HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    exchange(connect(address), request.as_bytes())
}

#[test]
fn the_host_must_be_the_address_that_is_listened_on() {
    let scene = Scene::new("");
    let (admin, port) = (scene.admin(), scene.admin().port());
    let ask_host = |host: &str| ask(admin, &format!("Host: {host}\r\n")).status;
    for own in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        assert_eq!(ask_host(&own), 200, "{own}");
    }
    for foreign in [
        format!("rebound.example:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port - 1),
    ] {
        assert_eq!(ask_host(&foreign), 421, "{foreign}");
    }
}

#[test]
fn a_host_that_is_refused_is_named_with_those_that_are_taken() {
    let scene = Scene::new("");
    let port = scene.admin().port();
    let refused = ask(scene.admin(), "Host: metrics.svc:9090\r\n");
    for part in ["\"metrics.svc:9090\"", &format!("127.0.0.1:{port}"), "control.admin"] {
        assert!(refused.body.contains(part), "{part} in {refused:?}");
    }
    let scene = Scene::with_admin("0.0.0.0:0", TOKEN);
    let admin = SocketAddr::from(([127, 0, 0, 1], scene.admin().port()));
    assert_eq!(ask(admin, &format!("Host: {admin}\r\n")).status, 200);
    let refused = ask(admin, &format!("Host: {}.example\r\n", "a".repeat(10_000)));
    assert_eq!(refused.status, 421);
    assert!(refused.body.contains("the addresses of this host"), "{refused:?}");
    assert!(refused.body.len() < 500, "{refused:?}");
}

#[test]
fn a_host_that_is_missing_or_there_twice_is_refused() {
    let scene = Scene::new("");
    let host = format!("Host: {}\r\n", scene.admin());
    assert_eq!(ask(scene.admin(), "").status, 400);
    assert_eq!(ask(scene.admin(), &format!("{host}{host}")).status, 400);
}

#[test]
fn a_target_in_absolute_form_counts_more_than_the_host_beside_it() {
    let scene = Scene::new("");
    let admin = scene.admin();
    let rest = format!("HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    let ask_target =
        |target: String| exchange(connect(admin), format!("GET {target} {rest}").as_bytes()).status;
    assert_eq!(ask_target(format!("http://{admin}/stats")), 200);
    assert_eq!(ask_target(format!("http://rebound.example:{}/stats", admin.port())), 421);
}

#[test]
fn pages_of_other_origins_are_refused() {
    let scene = Scene::new("");
    let (admin, port) = (scene.admin(), scene.admin().port());
    let ask_from =
        |origin: &str| ask(admin, &format!("Host: {admin}\r\nOrigin: {origin}\r\n")).status;
    for own in [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}")] {
        assert_eq!(ask_from(&own), 200, "{own}");
    }
    for foreign in [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://127.0.0.1:{}", port - 1),
        format!("https://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}.evil.example"),
    ] {
        assert_eq!(ask_from(&foreign), 403, "{foreign}");
    }
}

#[test]
fn what_a_browser_says_comes_from_another_site_is_refused() {
    let scene = Scene::new("");
    let ask_from = |site: &str| {
        ask(scene.admin(), &format!("Host: {}\r\nSec-Fetch-Site: {site}\r\n", scene.admin())).status
    };
    assert_eq!((ask_from("none"), ask_from("same-origin")), (200, 200));
    assert_eq!((ask_from("cross-site"), ask_from("same-site")), (403, 403));
}

#[test]
fn a_cross_origin_post_does_nothing() {
    let scene = Scene::new("");
    let origin = "Origin: http://evil.example\r\nContent-Type: text/plain\r\n";
    assert_eq!(post(scene.admin(), "/drain", origin, b"").status, 403);
    assert_eq!(get(scene.admin(), "/readyz").status, 200);
}

#[test]
fn with_a_token_looking_is_free_and_acting_needs_it() {
    let scene = Scene::new(TOKEN);
    assert_eq!(get(scene.admin(), "/stats").status, 200);
    let act = |authorization: &str| post(scene.admin(), "/broadcast", authorization, b"hello");

    let missing = act("");
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer")));
    for wrong in [
        "Authorization: Bearer opensesam\r\n",
        "Authorization: Bearer opensesame2\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic opensesame\r\n",
        "Authorization: opensesame\r\n",
    ] {
        assert_eq!(act(wrong).status, 401, "{wrong}");
    }
    for right in ["Authorization: Bearer opensesame\r\n", "authorization: bearer opensesame\r\n"] {
        assert_eq!(act(right).status, 202, "{right}");
    }
}

#[test]
fn a_token_opens_nothing_to_another_page() {
    let scene = Scene::new(TOKEN);
    let headers = "Authorization: Bearer opensesame\r\nOrigin: http://evil.example\r\n";
    assert_eq!(post(scene.admin(), "/broadcast", headers, b"hello").status, 403);
}
