// A TLS client on Node: tells what it says to each server of the matrix.
//
// Lines on standard input: name, port, host and CA file, with tabs between. One line out for each:
// name, tab, "ok" or the code of the reason.

import { readFileSync } from "node:fs";
import { connect } from "node:tls";

const verdict = (port, host, ca) =>
  new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, servername: host, ca: readFileSync(ca) }, () => {
      resolve("ok");
      socket.end();
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer in time")));
    socket.on("error", (error) => resolve(`${error.code}: ${error.message.replaceAll("\n", " ")}`));
  });

for (const line of readFileSync(0, "utf8").trimEnd().split("\n")) {
  const [name, port, host, ca] = line.split("\t");
  console.log(`${name}\t${await verdict(Number(port), host, ca)}`);
}
