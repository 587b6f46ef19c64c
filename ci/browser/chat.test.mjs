// The chat page in headless Chromium against the real binary.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { chromium } from "playwright-core";

import { withCurrentHashes } from "../lib/page-policy.mjs";
import { contrastOf } from "./contrast.mjs";
import { datapath, freePort, newPlace, startServer, targetDir } from "./server.mjs";
import { startWscat } from "./wscat.mjs";

const screenshots = path.join(targetDir, "screenshots");
// Nothing but the page may use the network, and no sandbox is to be had for root.
const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const desktop = { width: 1000, height: 700 };
const phone = { width: 360, height: 740 };

let browser, server, place, folder, configFile;
let contexts = [];

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  folder = mkdtempSync(path.join(os.tmpdir(), "hioload-browser-"));
  configFile = path.join(folder, "hioload.toml");
  place = await newPlace();
  writeFileSync(configFile, `${place.config}\n[control]\nadmin = "127.0.0.1:0"\n`);
  server = await startServer(place, configFile);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
});

after(async () => {
  await browser?.close();
  await server?.kill();
  rmSync(folder, { recursive: true, force: true });
});

afterEach(async () => {
  for (const context of contexts) await context.close();
  contexts = [];
});

test("a message typed in one page is read in the other, and both count two clients", async () => {
  const [ada, ben] = [await openChat("Ada"), await openChat("Ben")];

  await say(ada, "hello, Ben");
  await say(ben, "hello, Ada");

  await hasLine(ben, "Ada", "hello, Ben");
  await hasLine(ada, "Ben", "hello, Ada");
  await textIs(ada, "#clients", "2");
  await textIs(ben, "#clients", "2");
  assertQuiet(ada);
  assertQuiet(ben);
});

test("where only the operator publishes, the page reads and offers nothing to write with", async () => {
  const feedFile = path.join(folder, "feed.toml");
  const admin = await freePort();
  const feedPlace = await newPlace();
  writeFileSync(feedFile, `${feedPlace.config}\n[broadcast]\npublish = "admin"\n\n[control]\nadmin = "127.0.0.1:${admin}"\n`);
  const feed = await startServer(feedPlace, feedFile);
  try {
    const reader = await openChat(null, {}, feedPlace);
    assert.equal(await reader.isVisible("#form"), false);
    await fetch(`http://127.0.0.1:${admin}/broadcast`, { method: "POST", body: "good evening" });
    await reader.getByText("good evening").waitFor({ timeout: 10_000 });
    await reader.screenshot({ path: path.join(screenshots, "feed.png") });
    assertQuiet(reader);
  } finally {
    await feed.kill();
  }
});

// A kernel resets the connections of a process that is killed. Where the TCP is the process's own,
// nobody is left to do so.
const onTheKernelAlone = datapath === "kernel" ? test : () => {};

onTheKernelAlone("pages reconnect after the server was killed and started again, and chat again", async () => {
  const [ada, ben] = [await openChat("Ada"), await openChat("Ben")];

  await server.kill();
  await textIs(ada, "#state", "Reconnecting…");
  await ada.fill("#text", "kept while offline");
  await ada.keyboard.press("Enter");
  assert.equal(await ada.inputValue("#text"), "kept while offline", "an unsent message is not lost");
  assert.equal(await ada.textContent("#clients"), "–");
  server = await startServer(place, configFile);

  await isConnected(ada);
  await isConnected(ben);
  await ada.keyboard.press("Enter");
  await hasLine(ben, "Ada", "kept while offline");
  await textIs(ben, "#clients", "2");
});

test("a server that drains tells its clients, who come back to the next one", async () => {
  const ada = await openChat("Ada");

  await server.stop();
  await hasNote(ada, /Disconnected.*\(1001\)/);
  server = await startServer(place, configFile);

  await isConnected(ada);
});

test("hostile text is shown as text", async () => {
  const [ada, ben] = [await openChat("<b>Ada</b>"), await openChat("Ben")];
  const hostile = [
    '<img src=x onerror="document.title=1">',
    "<script>document.title = 2</script>",
    "x".repeat(3000),
    "שלום, 'мир', \u202Eright to left\u202C",
    '{"type":"chat","from":1,"text":{}}',
  ];

  for (const text of hostile) await say(ada, text);

  for (const text of hostile) await hasLine(ben, "<b>Ada</b>", text);
  assert.equal(await ben.locator("#lines img, #lines script, #lines b b").count(), 0);
  assert.equal(await ben.title(), "Chat · hioload");
  assert.ok(await fitsWidth(ben), "a very long word must not scroll the page sideways");
  assertQuiet(ben);
});

test("other clients' text and binary are shown plainly", async () => {
  const page = await openChat("Ada");

  await page.evaluate(() => new Promise((resolve) => {
    const other = new WebSocket(new URL("/ws", location.href.replace("http", "ws")));
    other.onopen = () => {
      other.send("typed in wscat");
      other.send('{"type":"weather","text":"rain"}');
      other.send(new Uint8Array(1234));
      other.onmessage = ({ data }) => { if (typeof data !== "string") { other.close(); resolve(); } };
    };
  }));

  for (const text of ["typed in wscat", '{"type":"weather","text":"rain"}', "[binary, 1234 bytes]"]) {
    await page.locator("#lines li.plain span").getByText(text, { exact: true }).waitFor();
  }
  assertQuiet(page);
});

test("a page and somebody who types in wscat read each other, and it hears the server end", async () => {
  const ada = await openChat("Ada");
  const wscat = await startWscat(`ws://${place.host}:${place.port}/ws`);
  try {
    await textIs(ada, "#clients", "2");
    wscat.type("hello from a terminal");
    await wscat.shows("< hello from a terminal");
    await ada.locator("#lines li.plain span").getByText("hello from a terminal", { exact: true }).waitFor();

    await say(ada, "hello from a page");
    await wscat.shows('"text":"hello from a page"');
    assertQuiet(ada);

    await server.stop();
    await wscat.shows("Disconnected (code: 1001");
    server = await startServer(place, configFile);
  } finally {
    await wscat.stop();
  }
});

test("thousands of messages leave 500 lines, a live rate, and a page that answers", async () => {
  const page = await openChat("Ada");
  const total = 5000;

  // The rate is that of the last second: on a slow machine it is over before anybody looks.
  await page.evaluate(() => {
    const rate = document.getElementById("rate");
    window.highest = 0;
    new MutationObserver(() => { window.highest = Math.max(window.highest, Number(rate.textContent)); })
      .observe(rate, { childList: true, characterData: true, subtree: true });
  });
  await page.evaluate((total) => {
    const other = new WebSocket(new URL("/ws", location.href.replace("http", "ws")));
    other.onopen = () => {
      for (let i = 1; i <= total; i++) other.send(JSON.stringify({ type: "chat", from: "flood", text: `number ${i}` }));
    };
  }, total);

  // A debug build on a busy machine takes its time for so many.
  await hasLine(page, "flood", `number ${total}`, 60_000);
  assert.ok((await page.locator("#lines li").count()) <= 500, "the list is bounded");
  await page.waitForFunction(() => window.highest > 100);
  await page.waitForFunction(() => /messages came in fast/.test(document.getElementById("summary").textContent));
  await textIs(page, "#rate", "0");
  assert.equal(await page.getAttribute("#scroll", "aria-live"), "polite", "spoken again once it is calm");
});

test("the nickname is kept for the next visit", async () => {
  const page = await openChat("Grace");

  await page.reload();

  assert.equal(await page.inputValue("#nick"), "Grace");
});

test("the page works by keyboard alone, and every control has a name", async () => {
  const page = await openChat();
  const reached = [];

  await page.click("h1"); // Tab goes on from there, the top of the page
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => document.activeElement.id));
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", `focus is visible on ${reached.at(-1)}`);
  }
  assert.deepEqual(reached, ["scroll", "nick", "text", "send"]);
  await page.focus("#text");
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await hasLine(page, null, "by keyboard");

  await page.getByRole("banner").waitFor();
  await page.getByRole("main").waitFor();
  await page.getByRole("log", { name: "Messages" }).waitFor();
  await page.getByRole("textbox", { name: "Nickname" }).waitFor();
  await page.getByRole("textbox", { name: "Message" }).waitFor();
  await page.getByRole("button", { name: "Send" }).waitFor();
  assert.equal(await page.getAttribute("html", "lang"), "en");
});

test("light, dark and phone-wide: contrast is AA, nothing overflows, targets are large", async () => {
  const looks = [
    { name: "light", colorScheme: "light", viewport: desktop },
    { name: "dark", colorScheme: "dark", viewport: desktop },
    { name: "phone", colorScheme: "light", viewport: phone, hasTouch: true },
    { name: "phone-dark", colorScheme: "dark", viewport: phone, hasTouch: true },
  ];
  const ben = await openChat("Ben");
  for (const look of looks) {
    const page = await openChat("Ada", look);
    await say(ben, "The 09:40 batch is out; all regions green.");
    await say(ben, `A long address: https://example.org/${"path/".repeat(20)}`);
    await say(page, "Thanks. I will watch the queue depth for an hour and report back here.");
    await hasLine(page, "Ada", "Thanks. I will watch the queue depth for an hour and report back here.");
    await textIs(page, "#clients", "2");
    await page.screenshot({ path: path.join(screenshots, `${look.name}.png`) });

    for (const selector of ["h1", "#state", "dt", "dd", "time", "#lines b", "#lines span", "label", "input", "#send"]) {
      for (const element of await page.locator(selector).elementHandles()) {
        const contrast = await element.evaluate(contrastOf);
        assert.ok(contrast >= 4.5, `${look.name}: ${selector} has contrast ${contrast.toFixed(2)}`);
      }
    }
    for (let color = 0; color < 8; color++) {
      const contrast = await page.locator("#lines li.own b").last().evaluate((element, color) => {
        element.className = `n${color}`;
        return element;
      }, color).then(() => page.locator("#lines li.own b").last().evaluate(contrastOf));
      assert.ok(contrast >= 4.5, `${look.name}: nickname color ${color} has contrast ${contrast.toFixed(2)}`);
    }
    assert.ok(await fitsWidth(page), `${look.name}: no horizontal scroll`);
    for (const control of ["#nick", "#text", "#send"]) {
      const { height, width } = await page.locator(control).boundingBox();
      assert.ok(height >= 44 && width >= 44, `${look.name}: ${control} is ${width} x ${height}`);
    }
    assertQuiet(page);
    await page.context().close();
  }
});

test("the policy in the page allows its own style and script and nothing else", () => {
  const html = readFileSync(new URL("../../control/assets/chat.html", import.meta.url), "utf8");

  assert.equal(html, withCurrentHashes(html), "run `node ci/lib/page-policy.mjs` after a change of the page");
  assert.ok(html.length < 20_000, `the page has ${html.length} bytes`);
  assert.doesNotMatch(html, /innerHTML|unsafe-inline/);
});

/** A connected page of its own browser profile. */
async function openChat(nickname, look = {}, at = place) {
  const context = await browser.newContext({ viewport: desktop, ...look });
  contexts.push(context);
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.host !== `${at.host}:${at.port}`) page.complaints.push(`request to ${url}`);
  });
  await page.goto(`http://${at.host}:${at.port}/`);
  await isConnected(page);
  if (nickname) await page.fill("#nick", nickname);
  return page;
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function hasLine(page, nickname, text, timeout = 10_000) {
  let line = page.locator("#lines li:not(.note)").filter({ has: page.getByText(text, { exact: true }) });
  if (nickname) line = line.filter({ has: page.locator("b").getByText(nickname, { exact: true }) });
  await line.last().waitFor({ timeout });
}

async function hasNote(page, pattern) {
  await page.locator("#lines li.note").filter({ hasText: pattern }).waitFor({ timeout: 10_000 });
}

async function textIs(page, selector, text) {
  await page.waitForFunction(
    ([selector, text]) => document.querySelector(selector).textContent === text,
    [selector, text],
    { timeout: 20_000 },
  );
}

const isConnected = (page) => textIs(page, "#state", "Connected");

const fitsWidth = (page) => page.evaluate(() =>
  [document.documentElement, document.getElementById("scroll")].every((e) => e.scrollWidth <= e.clientWidth));

function assertQuiet(page) {
  assert.deepEqual(page.complaints, [], "no errors in the console, no request to elsewhere");
}
