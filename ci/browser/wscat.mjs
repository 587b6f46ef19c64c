// `wscat`, the client people type with. It prints to a terminal only, so `script` gives it one.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../node_modules/.bin/wscat", import.meta.url));

/** Joins the chat at `url`, and is connected then. End it with `stop()`. */
export async function startWscat(url) {
  const child = spawn("script", ["--quiet", "--command", 'exec "$WSCAT" --no-color --connect "$URL"', "/dev/null"], {
    env: { ...process.env, TERM: "dumb", SHELL: "/bin/sh", WSCAT: program, URL: url },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let shown = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (shown += data));
  let ended = false;
  const end = once(child, "close").then(() => (ended = true));

  const wscat = {
    type: (line) => child.stdin.write(`${line}\r`),
    /** Until this is on the terminal; what is up to its end is taken off. */
    async shows(text, deadline = Date.now() + 15_000) {
      while (!shown.includes(text)) {
        if (ended) throw new Error(`wscat ended without "${text}":\n${shown}`);
        if (Date.now() > deadline) throw new Error(`wscat did not show "${text}" but:\n${shown}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      shown = shown.slice(shown.indexOf(text) + text.length);
    },
    async stop() {
      child.kill("SIGTERM");
      await end;
    },
  };
  try {
    await wscat.shows("Connected");
  } catch (error) {
    await wscat.stop();
    throw error;
  }
  return wscat;
}
