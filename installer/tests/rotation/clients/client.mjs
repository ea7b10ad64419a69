// A client of the API on Node that never stops asking.
//
// Arguments: fresh or kept connections; host; ports with commas between. NODE_EXTRA_CA_CERTS names the CA
// file. Each line on standard input is answered with the counts since the last one: succeeded, failed and
// the first error, with tabs between.

import { Agent, request } from "node:https";
import { createInterface } from "node:readline";

const [connections, host, list] = process.argv.slice(2);
const ports = list.split(",");
const agent = new Agent({ keepAlive: connections !== "fresh", maxSockets: 1, maxCachedSessions: 0 });
let counts = [0, 0, ""];

const ask = (port) =>
  new Promise((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port, path: "/health", servername: host, headers: { host: `${host}:${port}` }, agent },
      (answer) => {
        answer.resume();
        answer.on("end", () => (answer.statusCode < 300 ? resolve() : reject(new Error(`status ${answer.statusCode}`))));
      },
    );
    asked.setTimeout(10_000, () => asked.destroy(new Error("no answer in time")));
    asked.on("error", reject);
    asked.end();
  });

createInterface({ input: process.stdin })
  .on("line", () => {
    console.log(counts.join("\t"));
    counts = [0, 0, ""];
  })
  .on("close", () => process.exit());

for (let turn = 0; ; turn++) {
  try {
    await ask(ports[connections === "fresh" ? turn % ports.length : 0]);
    counts[0]++;
  } catch (error) {
    counts[1]++;
    counts[2] ||= `${error.code}: ${error.message}`.replace(/\s+/g, " ");
  }
  await new Promise((resolve) => setTimeout(resolve, 30));
}
