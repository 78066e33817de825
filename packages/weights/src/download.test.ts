// Downloads against a server of our own that breaks connections, forgets ranges, changes files and sends pages.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { fetchPublished, PUBLISHED_MODELS } from './index.js';
import { TORCH_GOLDEN, temporaryFolder } from './testing/temporary-folder.js';

const whole = readFileSync(path.join(TORCH_GOLDEN, 'slip-tiny.pt'));

async function serve(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: { url: string; range: string | undefined }[] = [];
  const server = createServer((request, response) => {
    requests.push({ url: request.url ?? '', range: request.headers.range });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/slip/`, requests };
}

/** The connection is cut when so many bytes are in the file: what is still on its way then may be lost. */
interface Cut {
  readonly after: number;
  readonly file: string;
}

/** Sends the file or the range that was asked for, or the beginning of it. */
function send(request: IncomingMessage, response: ServerResponse, cut?: Cut, etag = '"one"'): void {
  const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const begin = asked !== null && request.headers['if-range'] === etag ? Number(asked[1]) : 0;
  response.writeHead(begin > 0 ? 206 : 200, {
    'content-length': whole.length - begin,
    etag,
    ...(begin > 0 ? { 'content-range': `bytes ${begin}-${whole.length - 1}/${whole.length}` } : {}),
  });
  if (cut === undefined || begin + cut.after >= whole.length) {
    response.end(whole.subarray(begin));
    return;
  }
  response.write(whole.subarray(begin, begin + cut.after));
  const watch = setInterval(() => {
    if ((statSync(cut.file, { throwIfNoEntry: false })?.size ?? 0) < begin + cut.after) return;
    clearInterval(watch);
    response.destroy();
  }, 5);
  response.on('close', () => clearInterval(watch));
}

const partOf = (cacheDir: string, name: string) => path.join(cacheDir, `${name}.pt.part`);

test('a model is downloaded once', async (t) => {
  const cacheDir = path.join(temporaryFolder(t), 'cache');
  const { base, requests } = await serve(t, (request, response) => send(request, response));
  const progress: number[] = [];
  const options = { cacheDir, base, onProgress: (done: number, total: number) => void progress.push(done / total) };
  const file = await fetchPublished('slip_base_100ep', options);
  assert.equal(await fetchPublished('slip_base_100ep', options), file);
  assert.deepEqual(readFileSync(file), whole);
  assert.deepEqual(requests, [{ url: '/slip/slip_base_100ep.pt', range: undefined }]);
  assert.deepEqual(readdirSync(cacheDir), ['slip_base_100ep.pt']);
  assert.equal(progress.at(-1), 1);
});

test('a connection that breaks is continued by Range, also by the next command', async (t) => {
  const cacheDir = temporaryFolder(t);
  let failures = 3;
  const { base, requests } = await serve(t, (request, response) =>
    send(request, response, failures-- > 0 ? { after: 50_000, file: partOf(cacheDir, 'slip_base_25ep') } : undefined),
  );
  await assert.rejects(fetchPublished('slip_base_25ep', { cacheDir, base, retries: 0 }), {
    code: 'data',
    message: /50000 bytes are kept in .*slip_base_25ep\.pt\.part and the same command continues there/,
  });
  const file = await fetchPublished('slip_base_25ep', { cacheDir, base });
  assert.deepEqual(readFileSync(file), whole);
  assert.deepEqual(
    requests.map(({ range }) => range),
    [undefined, 'bytes=50000-', 'bytes=100000-', 'bytes=150000-'],
  );
});

test('two commands do not write into one file; a lock whose owner is dead is taken over', async (t) => {
  const cacheDir = temporaryFolder(t);
  const { base } = await serve(t, (request, response) => setTimeout(() => send(request, response), 200));
  const options = { cacheDir, base };
  const [first, second] = await Promise.allSettled([
    fetchPublished('clip_base_25ep', options),
    fetchPublished('clip_base_25ep', options),
  ]);
  const refused = [first, second].filter(({ status }) => status === 'rejected');
  assert.equal(refused.length, 1);
  assert.match(String((refused[0] as PromiseRejectedResult).reason.message), /another command is downloading the same/);
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const lock = path.join(cacheDir, 'slip_base_25ep.pt.part.lock');
  writeFileSync(lock, JSON.stringify({ host: os.hostname(), pid: dead }));
  assert.deepEqual(readFileSync(await fetchPublished('slip_base_25ep', options)), whole);
  assert.deepEqual(readdirSync(cacheDir).sort(), ['clip_base_25ep.pt', 'slip_base_25ep.pt']);
});

test('a file that changed on the server is begun again', async (t) => {
  const cacheDir = temporaryFolder(t);
  let count = 0;
  const { base } = await serve(t, (request, response) => {
    count++;
    if (count === 1) send(request, response, { after: 50_000, file: partOf(cacheDir, 'clip_base_25ep') }, '"old"');
    else send(request, response, undefined, '"new"');
  });
  assert.deepEqual(readFileSync(await fetchPublished('clip_base_25ep', { cacheDir, base })), whole);
  assert.equal(count, 2);
});

test('a server that is not there, silent, or refuses', async (t) => {
  const cacheDir = temporaryFolder(t);
  await assert.rejects(fetchPublished('slip_small_25ep', { cacheDir, base: 'http://127.0.0.1:9/', retries: 1 }), {
    code: 'data',
    message: /cannot download http:\/\/127\.0\.0\.1:9\/slip_small_25ep\.pt: .*by other means/,
  });
  const silent = await serve(t, () => undefined);
  await assert.rejects(fetchPublished('slip_small_25ep', { cacheDir, base: silent.base, retries: 0, stallMs: 200 }), {
    code: 'data',
    message: /no data for 0\.2 s|aborted/,
  });
  const missing = await serve(t, (_, response) => response.writeHead(404).end('no'));
  await assert.rejects(fetchPublished('slip_small_25ep', { cacheDir, base: missing.base }), {
    code: 'data',
    message: /answered 404/,
  });
  const busy = await serve(t, (_, response) => response.writeHead(503).end());
  await assert.rejects(fetchPublished('slip_small_25ep', { cacheDir, base: busy.base, retries: 2 }), /answered 503/);
  assert.equal(busy.requests.length, 3);
});

test('a page, a cut-off file and one of unknown length are not kept', async (t) => {
  const cacheDir = temporaryFolder(t);
  const bodies: Record<string, [Buffer, RegExp]> = {
    slip_small_25ep: [Buffer.from('<html>please log in</html>'), /is not a checkpoint and was removed.*web page/],
    slip_small_50ep: [whole.subarray(0, 100_000), /was removed.*no zip directory/],
  };
  const { base } = await serve(t, (request, response) => {
    const [bytes] = bodies[path.basename(request.url ?? '', '.pt')];
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  });
  for (const [name, [, message]] of Object.entries(bodies)) {
    await assert.rejects(fetchPublished(name, { cacheDir, base }), { code: 'checkpoint', message });
  }
  const chunked = await serve(t, (_, response) =>
    response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(whole),
  );
  await assert.rejects(fetchPublished('slip_small_25ep', { cacheDir, base: chunked.base }), /does not say how long/);
  assert.deepEqual(readdirSync(cacheDir), []);
});

test('the list has the 19 published files, and a mistyped name is told', async (t) => {
  assert.equal(PUBLISHED_MODELS.length, 19);
  assert.equal(new Set(PUBLISHED_MODELS.map(({ url }) => url)).size, 19);
  const large = PUBLISHED_MODELS.find(({ name }) => name === 'slip_large_100ep');
  assert.deepEqual(
    [large?.model, large?.dataset, large?.zeroShot, large?.linear, large?.finetuned, large?.url],
    ['SLIP_VITL16', 'YFCC15M', 47.9, 75.1, 84.8, 'https://dl.fbaipublicfiles.com/slip/slip_large_100ep.pt'],
  );
  const cacheDir = path.join(temporaryFolder(t), 'none');
  await assert.rejects(
    fetchPublished('slip_base_100', { cacheDir }),
    /not one of the 19.*did you mean slip_base_100ep\?/,
  );
  assert.equal(existsSync(cacheDir), false);
});
