// torchrun's flags and their meanings here; machine facts are given.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readLaunchSettings } from './launch-settings.js';
import { countGpus, parseCpuList } from './machine.js';
import { addressOfInterface, parseEndpoint } from './network.js';

const machine = { numGpus: 0, numCores: 6 };
const gpuMachine = { numGpus: 8, numCores: 64 };

test('defaults: one worker, one node, a free port, three restarts', () => {
  const { signals, ...settings } = readLaunchSettings({}, machine);
  assert.deepEqual(settings, {
    numNodes: 1,
    nprocPerNode: 1,
    nodeRank: 0,
    runId: 'none',
    role: 'default',
    maxRestarts: 3,
    bindWorkers: false,
    joinTimeoutMs: 600_000,
    heartbeatIntervalMs: 1000,
    agentTimeoutMs: 20_000,
    logRouting: {},
    notices: [],
  });
  assert.deepEqual(signals, ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']);
});

test('nproc is a number, gpu, cpu or auto', () => {
  const nproc = (text: string, on = machine) => readLaunchSettings({ nproc: text }, on).nprocPerNode;
  assert.equal(nproc('4'), 4);
  assert.equal(nproc('auto'), 3);
  assert.equal(nproc('auto', { numGpus: 0, numCores: 1 }), 1);
  assert.equal(nproc('auto', gpuMachine), 8);
  assert.equal(nproc('cpu'), 6);
  assert.equal(nproc('gpu', gpuMachine), 8);
  for (const wrong of ['gpu', '0', '-1', '1.5', 'many', '']) assert.throws(() => nproc(wrong), { code: 'config' });
});

test('visible GPUs are counted as CUDA counts them', () => {
  const files = ['nvidia0', 'nvidia1', 'nvidia2', 'nvidiactl', 'nvidia-uvm', 'null'];
  assert.equal(countGpus(undefined, files), 3);
  assert.equal(countGpus('', files), 0);
  assert.equal(countGpus('2,0', files), 2);
  assert.equal(countGpus('0,-1,2', files), 1);
  assert.equal(countGpus('0,1,2,3,4', files), 3);
});

test('several nodes need a rank and an endpoint; MIN:MAX only when equal', () => {
  const given = { nnodes: '4:4', 'node-rank': 3, 'rdzv-endpoint': 'head' };
  const { numNodes, nodeRank, endpoint } = readLaunchSettings(given, machine);
  assert.deepEqual(
    { numNodes, nodeRank, endpoint },
    { numNodes: 4, nodeRank: 3, endpoint: { host: 'head', port: 29500 } },
  );
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ nnodes: '1:4' }, /--nnodes 1:4: .*elastic.* --nnodes 4/],
    [{ nnodes: '2' }, /needs --node-rank/],
    [{ nnodes: '2', 'node-rank': 0 }, /needs --rdzv-endpoint/],
    [{ nnodes: '2', 'node-rank': 2, 'rdzv-endpoint': 'head' }, /--node-rank 2 is not below --nnodes 2/],
    [{ nnodes: 'two' }, /--nnodes two/],
    [{ 'rdzv-endpoint': 'a:b:c' }, /--rdzv-endpoint a:b:c/],
    [{ 'rdzv-endpoint': 'file://relative' }, /expected file:\/\/ and a full path/],
    [{ 'rdzv-endpoint': 'a:70000' }, /--rdzv-endpoint a:70000/],
    [{ 'rdzv-conf': 'join_timout=3' }, /unknown key "join_timout"/],
    [{ 'rdzv-conf': 'join_timeout=soon' }, /join_timeout needs a positive number/],
    [{ 'signals-to-handle': 'SIGUSR1' }, /SIGUSR2/],
    [{ 'signals-to-handle': 'SIGKILL' }, /SIGKILL/],
    [{ 'rdzv-backend': 'etcd' }, /static and c10d/],
    [{ 'max-restarts': -1 }, /--max-restarts -1/],
    [{ 'local-ranks-filter': 'x' }, /--local-ranks-filter x/],
  ];
  for (const [flags, message] of wrong)
    assert.throws(() => readLaunchSettings(flags, machine), { code: 'config', message }, JSON.stringify(flags));
});

test('the endpoint may also be given as master address and port; on one node a port alone is enough', () => {
  const endpoint = (given: Record<string, unknown>) => readLaunchSettings(given, machine).endpoint;
  assert.deepEqual(endpoint({ nnodes: '2', 'node-rank': 0, 'master-addr': 'a' }), { host: 'a', port: 29500 });
  assert.deepEqual(endpoint({ 'master-port': 4000 }), { host: '127.0.0.1', port: 4000 });
  assert.deepEqual(endpoint({ 'rdzv-endpoint': 'localhost' }), { host: 'localhost', port: 0 });
  assert.deepEqual(parseEndpoint('rdzv-endpoint', 'a:1', 2), { host: 'a', port: 1 });
});

test('rdzv-conf sets timeouts, and keys without a counterpart are let through', () => {
  const conf = 'join_timeout=30,keep_alive_interval=0.5,keep_alive_max_attempt=4,last_call_timeout=3';
  const { joinTimeoutMs, heartbeatIntervalMs, agentTimeoutMs } = readLaunchSettings({ 'rdzv-conf': conf }, machine);
  assert.deepEqual([joinTimeoutMs, heartbeatIntervalMs, agentTimeoutMs], [30_000, 500, 2000]);
});

test('what has no effect is said', () => {
  const given = { standalone: true, nnodes: '2', 'numa-binding': 'node', 'rdzv-backend': 'c10d' };
  const { numNodes, endpoint, notices } = readLaunchSettings(given, machine);
  assert.equal(numNodes, 1);
  assert.equal(endpoint, undefined);
  assert.deepEqual(
    notices.map((notice) => notice.split(':')[0]),
    ['--rdzv-backend c10d', '--numa-binding', '--nnodes'],
  );
});

test('the first interface that a machine has is taken, and a machine without any is told which there are', () => {
  const interfaces = {
    lo: [{ address: '127.0.0.1', family: 'IPv4' }],
    eth0: [
      { address: 'fe80::1', family: 'IPv6' },
      { address: '10.0.0.7', family: 'IPv4' },
    ],
    ib1: [{ address: 'fe80::2', family: 'IPv6' }],
  };
  assert.equal(addressOfInterface(['ib0', 'ib1', 'eth0', 'lo'], interfaces), '10.0.0.7');
  assert.throws(() => addressOfInterface(['ib0', 'hsn0'], interfaces), /--comm-interface ib0,hsn0: .* only lo, eth0/);
  const { commInterfaces } = readLaunchSettings({ 'comm-interface': 'ib0, hsn0' }, { numGpus: 0, numCores: 2 });
  assert.deepEqual(commInterfaces, ['ib0', 'hsn0']);
});

test('lists of processors are read as the kernel writes them', () => {
  assert.deepEqual(parseCpuList('0-2,5,64-65'), [0, 1, 2, 5, 64, 65]);
  assert.deepEqual(parseCpuList(''), []);
});
