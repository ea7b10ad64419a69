// The kernel's side of the Jupyter protocol 5.3 over ZMTP 3.0 (ZeroMQ RFC 23) on Unix sockets:
// a ROUTER that takes requests and a PUB that tells what happens.
'use strict';

const crypto = require('node:crypto');
const net = require('node:net');

const MORE = 1;
const LONG = 2;
const COMMAND = 4;
const GREETING_LENGTH = 64;
const DELIMITER = Buffer.from('<IDS|MSG>');

function renderGreeting() {
  const greeting = Buffer.alloc(GREETING_LENGTH);
  greeting[0] = 0xff;
  greeting[9] = 0x7f;
  greeting[10] = 3;
  greeting.write('NULL', 12, 'latin1');
  return greeting;
}

function renderFrame(flags, body) {
  let head;
  if (body.length < 256) {
    head = Buffer.from([flags, body.length]);
  } else {
    head = Buffer.alloc(9);
    head[0] = flags | LONG;
    head.writeBigUInt64BE(BigInt(body.length), 1);
  }
  return Buffer.concat([head, body]);
}

function renderReady(kind) {
  const head = Buffer.from('\x05READY\x0bSocket-Type\0\0\0', 'latin1');
  return Buffer.concat([head, Buffer.from([kind.length]), Buffer.from(kind, 'latin1')]);
}

function renderMessage(frames) {
  return Buffer.concat(frames.map((frame, index) => renderFrame(index + 1 < frames.length ? MORE : 0, frame)));
}

/** Cuts what arrives into messages of several frames; commands are left out. */
class Reader {
  #rest = Buffer.alloc(0);
  #greeted = false;
  #frames = [];

  *read(chunk) {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#greeted) {
      if (this.#rest.length < GREETING_LENGTH) return;
      this.#rest = this.#rest.subarray(GREETING_LENGTH);
      this.#greeted = true;
    }
    for (let frame = this.#cut(); frame !== undefined; frame = this.#cut()) {
      if (frame.flags & COMMAND) continue;
      this.#frames.push(frame.body);
      if (frame.flags & MORE) continue;
      yield this.#frames;
      this.#frames = [];
    }
  }

  #cut() {
    const rest = this.#rest;
    if (rest.length < 2) return undefined;
    const flags = rest[0];
    const start = flags & LONG ? 9 : 2;
    if (rest.length < start) return undefined;
    const length = flags & LONG ? Number(rest.readBigUInt64BE(1)) : rest[1];
    if (rest.length < start + length) return undefined;
    this.#rest = rest.subarray(start + length);
    return { flags, body: rest.subarray(start, start + length) };
  }
}

/** The sockets of one kernel, as its connection file describes them. */
class Wire {
  #key;
  #session = crypto.randomUUID();
  #subscribers = new Set();

  constructor(connection, onRequest) {
    this.#key = connection.key;
    const at = (port) => `${connection.ip}-${port}`;
    this.#listen(at(connection.shell_port), 'ROUTER', (frames, socket) => {
      const request = this.#parse(frames);
      if (request !== undefined) onRequest(request, (kind, content) => this.#send(socket, [], kind, content, request));
    });
    this.#listen(at(connection.iopub_port), 'PUB', (frames, socket) => {
      if (frames[0]?.[0] === 1) this.#subscribers.add(socket);
    });
  }

  /** Tells every subscriber; `parent` is the header of the request that caused it. */
  publish(kind, content, parent) {
    for (const socket of this.#subscribers) this.#send(socket, [Buffer.from(kind)], kind, content, parent);
  }

  #listen(path, kind, onMessage) {
    const server = net.createServer((socket) => {
      const reader = new Reader();
      socket.write(renderGreeting());
      socket.write(renderFrame(COMMAND, renderReady(kind)));
      socket.on('data', (chunk) => {
        for (const frames of reader.read(chunk)) onMessage(frames, socket);
      });
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#subscribers.delete(socket));
    });
    server.listen(path);
  }

  #send(socket, topic, kind, content, parent) {
    const header = {
      msg_id: crypto.randomUUID(),
      session: this.#session,
      username: 'kernel',
      date: new Date().toISOString(),
      msg_type: kind,
      version: '5.3',
    };
    const parts = [header, parent?.header ?? {}, {}, content].map((part) => Buffer.from(JSON.stringify(part)));
    socket.write(renderMessage([...topic, DELIMITER, Buffer.from(this.#sign(parts)), ...parts]));
  }

  #parse(frames) {
    const start = frames.findIndex((frame) => frame.equals(DELIMITER));
    const [signature, ...parts] = frames.slice(start + 1, start + 6);
    if (start < 0 || parts.length < 4 || signature.toString() !== this.#sign(parts)) return undefined;
    const [header, , , content] = parts.map((part) => JSON.parse(part.toString()));
    return { header, content };
  }

  #sign(parts) {
    const mac = crypto.createHmac('sha256', this.#key);
    for (const part of parts) mac.update(part);
    return mac.digest('hex');
  }
}

module.exports = { Wire };
