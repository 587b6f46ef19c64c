// Starts and ends the real binary, on a loopback port of our choice.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";

const top = fileURLToPath(new URL("../../", import.meta.url));
export const targetDir = path.resolve(top, process.env.CARGO_TARGET_DIR ?? "target");
const binary = process.env.HIOLOAD_BIN ?? path.join(targetDir, "release", "hioload");

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export async function freePort() {
  const listener = net.createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

/** A running server; `stop()` sends SIGTERM, `kill()` gives it no chance to say goodbye. */
export async function startServer(port, configFile) {
  const child = spawn(binary, ["serve", "--config", configFile, "--addr", `127.0.0.1:${port}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (log += data));
  const ended = new Promise((resolve, reject) => {
    child.once("exit", resolve);
    child.once("error", reject);
  });
  const end = async (signal) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };

  await Promise.race([
    accepting(port),
    ended.then(() => { throw new Error(`the server ended before it accepted:\n${log}`); }),
  ]);
  return { stop: () => end("SIGTERM"), kill: () => end("SIGKILL"), log: () => log };
}

async function accepting(port, deadline = Date.now() + 10_000) {
  for (;;) {
    const socket = net.connect(port, "127.0.0.1");
    const connected = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    if (Date.now() > deadline) throw new Error(`nothing accepts on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
