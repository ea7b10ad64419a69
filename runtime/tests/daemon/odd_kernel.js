// A kernel whose cells name the way in which they go wrong: node odd_kernel.js CONNECTION_FILE WIRE
'use strict';

const fs = require('node:fs');

const [, , connectionFile, wireFile] = process.argv;
const { Wire } = require(wireFile);

const failed = (status) => ({ status, ename: 'UsageError', evalue: 'only the reply knows', traceback: ['one', 'two'] });

const wire = new Wire(JSON.parse(fs.readFileSync(connectionFile, 'utf8')), (request, reply) => {
  wire.publish('status', { execution_state: 'busy' }, request);
  const { code } = request.content;
  if (request.header.msg_type === 'kernel_info_request') reply('kernel_info_reply', { status: 'ok' });
  else if (code === 'print and fail') {
    wire.publish('stream', { name: 'stderr', text: 'UsageError' }, request);
    reply('execute_reply', failed('error'));
  } else if (code === 'tell twice') {
    reply('execute_reply', failed('error'));
    wire.publish('error', failed('error'), request);
  } else if (code === 'abort') reply('execute_reply', { status: 'aborted' });
  else if (code !== 'never reply') reply('execute_reply', { status: 'ok' });
  wire.publish('status', { execution_state: 'idle' }, request);
});
