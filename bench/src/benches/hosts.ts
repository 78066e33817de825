// All-reduce between hosts, against Gloo: namespaces joined by veth, one rank on each, everything over tcp.
import path from 'node:path';
import type { Bench, Case, Subject } from '../harness.js';
import { hostsMissing, type Line } from '../hosts/host-network.js';
import { torchPeers } from '../peers.js';

const SUBJECT = path.join(import.meta.dirname, '../subjects/hosts.js');
const SIZES = { '1K': 1024, '1M': 1 << 20, '64M': 64 << 20 };
const ENCRYPTIONS = { 'not encrypted': 'off', CURVE: 'on' };
const roundsOf = (bytes: number) => (bytes <= 1024 ? 200 : bytes <= 1 << 20 ? 60 : 12);

export const hostsBench: Bench = {
  name: 'hosts',
  question: 'all-reduce between 2 and 4 hosts (network namespaces), against Gloo, which never encrypts',
  rounds: 3,
  measures: [
    { key: 'timeMs', unit: 'ms', higherIsBetter: false },
    { key: 'busBandwidthGBps', unit: 'GB/s', higherIsBetter: true },
  ],
  cases: [
    ...[2, 4].flatMap((hosts) =>
      Object.entries(SIZES).flatMap(([size, bytes]) =>
        Object.entries(ENCRYPTIONS).map(([name, encryption]) =>
          comparison(`${hosts} hosts, ${size}, ${name}`, { hosts, bytes, encryption }),
        ),
      ),
    ),
    comparison('2 hosts at 1 Gb/s, 16M', { bytes: 16 << 20, line: 'tbf', rounds: 4 }),
    // Gloo did not get through the relays in two minutes, so it has the plain line here.
    comparison('2 hosts, 4M, ours through relays of 20 ms', { bytes: 4 << 20, line: 'relay', rounds: 6 }),
  ],
  impossible: async () => hostsMissing(),
  // The hosts start Debian's.
  peers: torchPeers().slice(0, 1),
};

interface Settings {
  readonly hosts?: number;
  readonly bytes: number;
  readonly encryption?: string;
  readonly line?: Line;
  readonly rounds?: number;
}

function comparison(name: string, settings: Settings): Case {
  const { hosts = 2, bytes, encryption = 'off', line = 'veth', rounds = roundsOf(bytes) } = settings;
  const subject = (who: string, on: Line): Subject => ({
    command: process.execPath,
    args: [
      ...[SUBJECT, '--who', who, '--hosts', String(hosts), '--bytes', String(bytes), '--rounds', String(rounds)],
      ...['--line', on, '--encryption', encryption],
    ],
  });
  const isLarge = hosts > 2 || line !== 'veth';
  return {
    name,
    ours: subject('ours', line),
    peers: { PyTorch: subject('gloo', line === 'relay' ? 'veth' : line) },
    isLarge,
  };
}
