"""A local page answers a browser that has the link, and nobody else."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="pip install 'tunesmith[serve]'")

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tunesmith.pages.guard import Guard

TOKEN, PORT = "right-token", 4321
HOST = f"127.0.0.1:{PORT}"


async def hello(_: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
    return TestClient(Guard(app, TOKEN, PORT), base_url=f"http://{HOST}", follow_redirects=False)


def test_the_link_opens_the_page_and_leaves_no_token_in_the_address(client: TestClient):
    assert client.get("/").status_code == 403
    opened = client.get("/", params={"token": TOKEN, "start": "1"})
    assert opened.status_code == 303 and opened.headers["location"] == "/?start=1"
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    page = client.get("/")
    assert page.status_code == 200 and page.text == "hello"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_on_a_page_of_another_server_is_gone_on_from_by_the_page_itself(
    client: TestClient, site: str
):
    """A browser follows a redirect from there as a request of that page."""
    there = {"sec-fetch-site": site}
    opened = client.get("/", params={"token": TOKEN, "start": "1"}, headers=there)
    assert opened.status_code == 200 and opened.headers["refresh"] == "0; url=/?start=1"
    assert TOKEN not in opened.text and client.get("/").text == "hello"
    assert client.get("/", params={"token": "wrong"}, headers=there).text != opened.text


def test_a_link_into_the_page_leads_to_that_place_on_this_server(client: TestClient):
    for path, there in (
        ("//evil.example/", "/evil.example/"),
        ("/run/a%20%231/", "/run/a%20%231/"),
    ):
        opened = client.get(f"http://{HOST}{path}", params={"token": TOKEN})
        assert opened.status_code == 303 and opened.headers["location"] == there


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1:80"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": "http://127.0.0.1:9999"},
        # Without an origin, as an image or a frame on a page of another port asks.
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_other_sites_are_refused_even_with_the_cookie(client: TestClient, headers: dict[str, str]):
    client.get("/", params={"token": TOKEN})
    assert client.post("/", headers={"origin": f"http://{HOST}"}).status_code == 200
    for answer in (client.get("/", headers=headers), client.post("/", headers=headers)):
        assert answer.status_code == 403 and "hello" not in answer.text
    if "sec-fetch-site" not in headers:
        assert client.get("/", params={"token": TOKEN}, headers=headers).status_code == 403


@pytest.mark.parametrize("token", ["", "wrong", "right-token2", "é"])
def test_a_wrong_token_is_refused(client: TestClient, token: str):
    assert client.get("/", params={"token": token}).status_code == 403
    assert (
        client.get("/", headers={"cookie": f"tunesmith_{PORT}={token}".encode()}).status_code == 403
    )  # type: ignore[dict-item]
    assert client.post("/", params={"token": TOKEN}).status_code == 403
