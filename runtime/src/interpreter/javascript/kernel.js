// A Jupyter kernel for JavaScript and TypeScript that needs nothing but Node:
//
//   node --expose-internals kernel.js CONNECTION_FILE javascript|typescript
'use strict';

const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { StringDecoder } = require('node:string_decoder');
const { pathToFileURL } = require('node:url');
const util = require('node:util');
const vm = require('node:vm');

const { transform } = require('./cell.js');
const { stripTypes } = require('./typescript.js');
const { Wire } = require('./wire.js');

const [, , connectionFile, language] = process.argv;
/** Largest JSON form of a result that is sent beside its text. */
const MAX_JSON = 1 << 20;
/** A well-known symbol of other JavaScript kernels: a method that returns a bundle by MIME type. */
const DISPLAY = Symbol.for('Jupyter.display');

let count = 0;
/** The request whose code runs, or ran last: output that comes later belongs to it. */
let current;
/** Ends the wait for code that waits itself. */
let interrupt;

const wire = new Wire(JSON.parse(fs.readFileSync(connectionFile, 'utf8')), (request, reply) => {
  queue = queue.then(() => serve(request, reply)).catch(() => {});
});
let queue = Promise.resolve();

async function serve(request, reply) {
  wire.publish('status', { execution_state: 'busy' }, request);
  const kind = request.header.msg_type;
  if (kind === 'kernel_info_request') {
    const info = { name: language, version: process.versions.node, mimetype: 'text/javascript', file_extension: '.js' };
    reply('kernel_info_reply', { status: 'ok', protocol_version: '5.3', implementation: 'sandbox', language_info: info });
  } else if (kind === 'execute_request') {
    reply('execute_reply', await execute(request));
  }
  wire.publish('status', { execution_state: 'idle' }, request);
}

async function execute(request) {
  const { code, silent } = request.content;
  current = request;
  if (!silent) {
    count += 1;
    wire.publish('execute_input', { code, execution_count: count }, request);
  }
  try {
    const result = await run(code);
    if (!silent && result?.value !== undefined) {
      wire.publish('execute_result', { ...bundle(result.value), execution_count: count }, request);
    }
    return { status: 'ok', execution_count: count, user_expressions: {}, payload: [] };
  } catch (error) {
    const content = describe(error);
    wire.publish('error', content, request);
    return { status: 'error', execution_count: count, ...content };
  }
}

async function run(code) {
  const { source, offset } = transform(language === 'typescript' ? stripTypes(code, globalThis.require) : code);
  const interrupted = new Promise((_, reject) => {
    interrupt = () => reject(new Error('interrupted'));
  });
  const script = new vm.Script(source, {
    filename: `cell-${count}`,
    columnOffset: -offset,
    importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER ?? load,
  });
  const promise = script.runInThisContext({ breakOnSigint: true, displayErrors: false });
  return Promise.race([promise, interrupted]);
}

/** What older versions of Node need in place of their default loader. */
function load(name) {
  const isPath = /^\.{0,2}\//.test(name);
  return import(isPath ? pathToFileURL(path.resolve(name)).href : resolve(name));
}

function resolve(name) {
  try {
    const found = globalThis.require.resolve(name);
    return path.isAbsolute(found) ? pathToFileURL(found).href : found;
  } catch {
    return name;
  }
}

/** A value by MIME type. */
function bundle(value) {
  if (typeof value?.[DISPLAY] === 'function') return { data: value[DISPLAY](), metadata: {} };
  const data = { 'text/plain': util.inspect(value) };
  const isPlain = Array.isArray(value) || (value !== null && Object.getPrototypeOf(Object(value)) === Object.prototype);
  if (isPlain && typeof value === 'object') {
    try {
      const json = JSON.stringify(value);
      if (json.length <= MAX_JSON) data['application/json'] = JSON.parse(json);
    } catch {
      // Circular, or with numbers that JSON lacks: the text says enough.
    }
  }
  return { data, metadata: {} };
}

function describe(error) {
  if (!util.types.isNativeError(error)) return { ename: 'Error', evalue: util.inspect(error), traceback: [] };
  // Frames below the cell are ours.
  const lines = String(error.stack ?? error).split('\n');
  const traceback = lines.filter((line) => !line.includes(__dirname) && !/\(?node:(vm|internal)/.test(line));
  return { ename: error.name, evalue: error.message, traceback };
}

for (const name of ['stdout', 'stderr']) {
  const decoder = new StringDecoder('utf8');
  process[name].write = (chunk, encoding, callback) => {
    const text = typeof chunk === 'string' ? chunk : decoder.write(Buffer.from(chunk));
    if (text !== '') wire.publish('stream', { name, text }, current);
    const done = typeof encoding === 'function' ? encoding : callback;
    if (typeof done === 'function') process.nextTick(done);
    return true;
  };
}

// That parts of Node are new is nothing that a cell has done: it is this kernel that uses them.
const { emitWarning } = process;
process.emitWarning = (warning, type, ...rest) => {
  if ((type?.type ?? type) !== 'ExperimentalWarning') emitWarning.call(process, warning, type, ...rest);
};

globalThis.require = createRequire(path.join(process.cwd(), 'cell.js'));
/** Shows a value, or a bundle by MIME type, in the middle of a cell. */
globalThis.display = (value) => {
  const isBundle = value !== null && typeof value === 'object' && Object.keys(value).some((key) => /^\w+\/[\w.+-]+$/.test(key));
  wire.publish('display_data', isBundle ? { data: value, metadata: {} } : bundle(value), current);
};

process.on('SIGINT', () => interrupt?.());
for (const event of ['uncaughtException', 'unhandledRejection']) {
  // From a timer, say: the kernel and its variables survive.
  process.on(event, (error) => process.stderr.write(`${util.inspect(error)}\n`));
}
