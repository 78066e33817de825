// slip-launch on several nodes, played by several agents on this one: joining, refusing, losing each other.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { freePort, RunFolder, until } from './harness.js';

async function twoNodes() {
  const endpoint = { host: '127.0.0.1', port: await freePort() };
  return (nodeRank: number) => ({ numNodes: 2, nprocPerNode: 2, nodeRank, endpoint });
}

test('two agents make one world: ranks and peers across both, one attempt folder, one event log', async (context) => {
  const run = new RunFolder(context, { steps: 3 });
  const node = await twoNodes();
  // The second comes first: it waits for its coordinator.
  const second = run.launch(node(1));
  const first = run.launch(node(0));
  assert.equal(await run.endOf(second), 0, second.output());
  assert.equal(await run.endOf(first), 0, first.output());
  const everybody = 'endpoint-of-0,endpoint-of-1,endpoint-of-2,endpoint-of-3';
  assert.deepEqual(
    run.notes('peers').map(({ text }) => text),
    [everybody, everybody, everybody, everybody],
  );
  const groupRanks = run
    .notes('environment')
    .sort((a, b) => a.rank - b.rank)
    .map(({ text }) => [JSON.parse(text).GROUP_RANK, JSON.parse(text).LOCAL_RANK]);
  assert.deepEqual(groupRanks, [
    ['0', '0'],
    ['0', '1'],
    ['1', '0'],
    ['1', '1'],
  ]);
  for (const rank of [0, 1, 2, 3]) assert.match(run.log(0, rank), new RegExp(`rank ${rank} did step 3`));
  assert.deepEqual(
    run.events().map(({ event }) => event),
    ['started', 'finished'],
  );
});

test('with a rendezvous file no port is agreed on: node 0 takes a free one and writes it, and clears it away', async (context) => {
  const run = new RunFolder(context, { steps: 2 });
  const rendezvousFile = path.join(run.folder, 'node0');
  const node = (nodeRank: number) => ({ numNodes: 2, nprocPerNode: 1, nodeRank, rendezvousFile });
  const second = run.launch(node(1));
  const first = run.launch({ ...node(0), rendezvousAddress: '127.0.0.1' });
  assert.equal(await run.endOf(second), 0, second.output());
  assert.equal(await run.endOf(first), 0, first.output());
  assert.equal(existsSync(rendezvousFile), false);
});

test('a rendezvous file that never comes is named', async (context) => {
  const run = new RunFolder(context, { steps: 2 });
  const rendezvousFile = path.join(run.folder, 'node0');
  const second = run.launch({ numNodes: 2, nprocPerNode: 1, nodeRank: 1, rendezvousFile, joinTimeoutMs: 600 });
  assert.equal(await run.endOf(second), 4, second.output());
  assert.match(second.output(), /node 0 did not write .*node0 within 0.6 s/);
});

test('a failure on one node restarts the workers of both, and node 0 names it', async (context) => {
  const run = new RunFolder(context, { steps: 5, faults: [{ rank: 3, step: 2, generation: 0, what: 'throw' }] });
  const node = await twoNodes();
  const [first, second] = [run.launch(node(0)), run.launch(node(1))];
  assert.equal(await run.endOf(second), 0, second.output());
  assert.equal(await run.endOf(first), 0, first.output());
  assert.match(first.output(), /rank +3 \(node 1, host 127\.0\.0\.1\)/);
  assert.match(first.output(), /boom in the fixture/);
  assert.equal(run.notes('step').filter(({ generation, text }) => generation === 1 && text === '5').length, 4);
});

test('a signal at one node stops both', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const node = await twoNodes();
  const [first, second] = [run.launch(node(0)), run.launch(node(1))];
  await until(() => run.notes('step').length > 8, 'some steps');
  second.child.kill('SIGTERM');
  assert.equal(await run.endOf(second), 75, second.output());
  assert.equal(await run.endOf(first), 75, first.output());
  assert.equal(run.notes('signal').length, 4);
});

test('kill -9 of one agent: its workers go at once, the other node ends and names it', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const node = await twoNodes();
  const [first, second] = [run.launch(node(0)), run.launch(node(1))];
  await until(() => run.notes('step').length > 8, 'some steps');
  second.child.kill('SIGKILL');
  assert.equal(await run.endOf(first), 5, first.output());
  assert.match(first.output(), /node 1 \(127\.0\.0\.1\) has not been heard of for 3 s/);
});

test('kill -9 of the agent with the coordinator: the other node ends by itself', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const node = await twoNodes();
  const [first, second] = [run.launch(node(0)), run.launch(node(1))];
  await until(() => run.notes('step').length > 8, 'some steps');
  first.child.kill('SIGKILL');
  assert.equal(await run.endOf(second), 5, second.output());
  assert.match(second.output(), /the coordinator \(agent of node 0, tcp:\/\/127\.0\.0\.1:\d+\) has been silent for/);
});

test('an agent with another configuration is named and nothing is started', async (context) => {
  const run = new RunFolder(context, { steps: 5 });
  const node = await twoNodes();
  const first = run.launch(node(0));
  const second = run.launch({ ...node(1), configHash: 'other' });
  assert.equal(await run.endOf(second), 2, second.output());
  assert.equal(await run.endOf(first), 2, first.output());
  const said = /node 1 \(127\.0\.0\.1\) resolved another run configuration \(hash other\) than node 0 \(hash\)/;
  assert.match(first.output(), said);
  assert.match(second.output(), said);
  assert.equal(run.notes('environment').length, 0);
});

test('a run that was started elsewhere is left at once, without being asked to save, on all nodes', async (context) => {
  const run = new RunFolder(context, { steps: 5000 });
  const node = await twoNodes();
  const first = run.launch(node(0));
  const second = run.launch(node(1));
  await until(() => run.notes('step').length > 3, 'the first steps');
  mkdirSync(path.join(run.folder, 'attempts/1'));
  assert.equal(await first.ended, 5, first.output());
  assert.equal(await run.endOf(second), 5, second.output());
  assert.match(first.output(), /attempt 1 of this run was started elsewhere; this one, 0, leaves without saving/);
  assert.deepEqual(
    run.notes('signal').filter(({ rank }) => rank < 2),
    [],
    'the node that writes',
  );
  assert.deepEqual(
    run.events().map(({ event }) => event),
    ['started'],
  );
});

test('a node that does not come is named by its rank', async (context) => {
  const run = new RunFolder(context, { steps: 5 });
  const node = await twoNodes();
  const first = run.launch({ ...node(0), numNodes: 3, joinTimeoutMs: 600 });
  assert.equal(await run.endOf(first), 4, first.output());
  assert.match(first.output(), /node rank 1, 2 of 3 nodes did not come within 0\.6 s/);
});

test('an agent that finds no coordinator names the endpoint', async (context) => {
  const run = new RunFolder(context, { steps: 5 });
  const node = (await twoNodes())(1);
  const second = run.launch({ ...node, joinTimeoutMs: 600 });
  assert.equal(await run.endOf(second), 4, second.output());
  const line = `node 1 could not join at 127.0.0.1:${node.endpoint.port} (--rdzv-endpoint): no answer within 0.6 s`;
  assert.ok(second.output().includes(line), second.output());
});

test('a port in use is one line that names the port and the flag', async (context) => {
  const run = new RunFolder(context, { steps: 5 });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const launched = run.launch({ nprocPerNode: 1, endpoint: { host: '127.0.0.1', port: address.port } });
  assert.equal(await run.endOf(launched), 4, launched.output());
  assert.match(
    launched.output(),
    new RegExp(
      `^slip-launch: \\[rendezvous\\] port ${address.port} of 127\\.0\\.0\\.1 is in use; .*--rdzv-endpoint.*\\n$`,
    ),
  );
});
