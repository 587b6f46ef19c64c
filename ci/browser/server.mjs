// Starts and ends the real binary: on a loopback port, or on a port that DPDK drives.

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

// The same tests serve every data path. Over DPDK they run in a network namespace that has the
// interfaces port0, port1 and so on, an Ethernet away from its own (ci/browser/over-dpdk).
export const datapath = process.env.HIOLOAD_DATAPATH ?? "kernel";
let places = 0;

/** Where a server may serve, and what its configuration file says of it. */
export async function newPlace() {
  const server = `[server]\ndatapath = "${datapath}"\n`;
  if (datapath !== "dpdk") return { host: "127.0.0.1", port: await freePort(), config: server };
  const number = places++;
  const host = `10.215.${number}.1`;
  const config = `${server}listen = "${host}:8080"

# A page asks for more at once than the feeds that the defaults are made for.
[tcp]
receive_buffer = "16 KiB"
send_buffer = "64 KiB"

[dpdk]
file_prefix = "hioload-browser-${process.pid}-${number}"
huge_pages = false
flows_max = 256
time_wait_max = 1024

[[dpdk.port]]
vdev = "net_af_packet0,iface=port${number},qpairs=2"
addresses = ["${host}/24"]
`;
  return { host, port: 8080, config };
}

/** A running server; `stop()` sends SIGTERM, `kill()` gives it no chance to say goodbye. */
export async function startServer({ host, port }, configFile) {
  const child = spawn(binary, ["serve", "--config", configFile, "--addr", `${host}:${port}`], {
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
    accepting(host, port),
    ended.then(() => { throw new Error(`the server ended before it accepted:\n${log}`); }),
  ]);
  return { stop: () => end("SIGTERM"), kill: () => end("SIGKILL"), log: () => log };
}

async function accepting(host, port, deadline = Date.now() + 10_000) {
  for (;;) {
    const socket = net.connect(port, host);
    const connected = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    if (Date.now() > deadline) throw new Error(`nothing accepts at ${host}:${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
