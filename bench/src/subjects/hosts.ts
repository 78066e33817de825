// One measurement between hosts: makes them, runs one rank on each, prints its figures as JSON, and removes the hosts whatever
// happens. `--who ours` starts slip-launch on each host, `--who gloo` PyTorch.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  FIRST_PORT,
  type HostNetwork,
  INTERFACE,
  type Line,
  makeHosts,
  PORTS,
  removeHosts,
} from '../hosts/host-network.js';

const PYTHON = process.env.BENCH_PYTHON ?? '/usr/bin/python3';
const SLIP_LAUNCH = fileURLToPath(new URL('../../../orchestrator/bin/slip-launch.js', import.meta.url));
const GLOO = fileURLToPath(new URL('../../peers/gloo_all_reduce.py', import.meta.url));
const RELAY = fileURLToPath(new URL('./relay-host.js', import.meta.url));
/** Where rank 0 is met; behind relays one more port to listen on. */
const MEETING_PORT = FIRST_PORT + PORTS;
const LONGEST_MS = 300_000;

const { values } = parseArgs({
  options: {
    who: { type: 'string', default: 'ours' },
    hosts: { type: 'string', default: '2' },
    bytes: { type: 'string', default: '1048576' },
    rounds: { type: 'string', default: '20' },
    encryption: { type: 'string', default: 'off' },
    transport: { type: 'string' },
    line: { type: 'string', default: 'veth' },
  },
});

/** The run folder, which all hosts see: the keys are in it. */
const folder = mkdtempSync(path.join(os.tmpdir(), 'slip-bench-hosts-'));
const children: ChildProcess[] = [];
const deadline = setTimeout(() => stop(`no result within ${LONGEST_MS / 1000} s`), LONGEST_MS);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  removeHosts();
  rmSync(folder, { recursive: true, force: true });
});

const network = makeHosts(Number(values.hosts), values.line as Line);
await startRelays(network);
const ranks = network.hosts.map((host, rank) => start(host, values.who === 'gloo' ? gloo(rank) : ours(rank)));
for (const [rank, { code, output, errors }] of (await Promise.all(ranks)).entries()) {
  if (code !== 0) stop(`rank ${rank} ended with ${code}:\n${errors}`);
  else if (rank === 0) console.log(output.trim().split('\n').at(-1));
}
clearTimeout(deadline);
process.exit();

function ours(rank: number): string[] {
  const size = values.bytes;
  return [
    ...[process.execPath, SLIP_LAUNCH, '--nproc', '1', '--nnodes', String(values.hosts), '--node-rank', String(rank)],
    ...['--rdzv-endpoint', `${network.addresses[0]}:${MEETING_PORT}`, '--local-addr', network.addresses[rank]],
    ...['bench-comm', '--json', '--sizes', `${size}:${size}`, '--iterations', values.rounds],
    // Hosts on one machine would share memory; hosts that do not take the same ways as these.
    ...['--transport', values.transport ?? (values.encryption === 'off' ? 'tcp' : 'zmq')],
    ...['--comm-encryption', values.encryption, '--output-dir', folder],
  ];
}

function gloo(rank: number): string[] {
  const place = [String(rank), network.addresses[0], String(MEETING_PORT), INTERFACE];
  return [PYTHON, GLOO, values.hosts, values.bytes, values.rounds, ...place];
}

async function startRelays({ relays }: HostNetwork): Promise<void> {
  for (const { namespace, ways } of relays) {
    const args = ['netns', 'exec', namespace, process.execPath, RELAY, JSON.stringify(ways), String(MEETING_PORT)];
    const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    await once(child.stdout, 'data');
  }
}

async function start(
  host: string,
  command: string[],
): Promise<{ code: number | null; output: string; errors: string }> {
  const child = spawn('ip', ['netns', 'exec', host, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output, errors };
}

function stop(reason: string): void {
  console.error(reason);
  process.exit(1);
}
