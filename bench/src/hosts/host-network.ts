// Hosts on one machine: network namespaces joined by veth pairs, with a rate limit or relays between them where wanted. Needs root
// and iproute2. Nothing is measured here.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

export const LINES = ['veth', 'tbf', 'relay'] as const;
/** `tbf`: each host sends at most 1 Gb/s. `relay`: two relays pass on what two hosts send each other, 20 ms later. */
export type Line = (typeof LINES)[number];

/** Of the interface of every host. */
export const INTERFACE = 'veth0';
/** Behind relays hosts use these ports alone, since a relay must know what to listen on. */
export const [FIRST_PORT, PORTS] = [41_000, 64];
const RATE = ['rate', '1gbit', 'burst', '1mb', 'latency', '50ms'];
/** Namespaces carry the number of the process that made them. */
const PREFIX = 'slip-bench-';

export interface HostNetwork {
  /** Namespaces of the hosts. */
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  /** Where relays run, and what each has to pass on. */
  readonly relays: readonly RelayHost[];
}

export interface RelayHost {
  readonly namespace: string;
  /** Listens at `from` and passes on to `to`. */
  readonly ways: readonly { readonly from: string; readonly to: string; readonly isDelayed: boolean }[];
}

/** @returns why there can be no hosts here, or undefined */
export function hostsMissing(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces need Linux and root';
  const probe = `${PREFIX}${process.pid}-probe`;
  try {
    ip('netns', 'add', probe);
    ip('-n', probe, 'link', 'add', INTERFACE, 'type', 'veth', 'peer', 'name', 'other');
    return undefined;
  } catch (error) {
    const reason = (error as Error).message.split('\n').at(-1);
    return `namespaces joined by veth cannot be made: ${reason}; apt-get install iproute2, and in a container CAP_NET_ADMIN and CAP_SYS_ADMIN`;
  } finally {
    removeHosts();
  }
}

/** Hosts that reach each other and nobody else. What processes that are gone have left behind is removed first. */
export function makeHosts(count: number, line: Line): HostNetwork {
  removeStale();
  const hosts = Array.from({ length: count }, (_, i) => namespace(`h${i}`));
  const addresses = hosts.map((_, i) => `10.77.0.${i + 1}`);
  if (line === 'relay') return { hosts, addresses, relays: makeRelays(hosts, addresses) };
  if (count === 2) joinHosts(hosts[0], INTERFACE, hosts[1], INTERFACE);
  else {
    const middle = namespace('switch');
    ip('-n', middle, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', middle, 'link', 'set', 'bridge', 'up');
    for (const [i, host] of hosts.entries()) {
      joinHosts(host, INTERFACE, middle, `port${i}`);
      ip('-n', middle, 'link', 'set', `port${i}`, 'master', 'bridge', 'up');
    }
  }
  for (const [i, host] of hosts.entries()) {
    address(host, INTERFACE, `${addresses[i]}/24`);
    if (line === 'tbf') inside(host, 'tc', 'qdisc', 'add', 'dev', INTERFACE, 'root', 'tbf', ...RATE);
  }
  return { hosts, addresses, relays: [] };
}

/** Removes what this process has made. */
export function removeHosts(): void {
  for (const name of ours()) if (name.startsWith(`${PREFIX}${process.pid}-`)) ip('netns', 'del', name);
}

/**
 * Between two hosts a relay on each side. Each has the address of the host on the other side, so that both hosts believe to
 * reach each other.
 */
function makeRelays(hosts: readonly string[], addresses: readonly string[]): RelayHost[] {
  const relays = hosts.map((_, i) => namespace(`relay${i}`));
  const between = ['10.78.0.1', '10.78.0.2'];
  joinHosts(relays[0], 'middle', relays[1], 'middle');
  for (const [i, host] of hosts.entries()) {
    joinHosts(host, INTERFACE, relays[i], 'host');
    address(host, INTERFACE, `${addresses[i]}/24`);
    address(relays[i], 'host', `${addresses[1 - i]}/24`);
    address(relays[i], 'middle', `${between[i]}/24`);
    const range = `net.ipv4.ip_local_port_range=${FIRST_PORT} ${FIRST_PORT + PORTS - 1}`;
    inside(host, 'sysctl', '-qw', range);
  }
  return relays.map((namespace, i) => ({
    namespace,
    ways: [
      { from: addresses[1 - i], to: between[1 - i], isDelayed: true },
      { from: between[i], to: addresses[i], isDelayed: false },
    ],
  }));
}

function namespace(name: string): string {
  const full = `${PREFIX}${process.pid}-${name}`;
  ip('netns', 'add', full);
  ip('-n', full, 'link', 'set', 'lo', 'up');
  return full;
}

function joinHosts(one: string, oneEnd: string, other: string, otherEnd: string): void {
  ip('link', 'add', oneEnd, 'netns', one, 'type', 'veth', 'peer', 'name', otherEnd, 'netns', other);
}

function address(host: string, device: string, value: string): void {
  ip('-n', host, 'addr', 'add', value, 'dev', device);
  ip('-n', host, 'link', 'set', device, 'up');
}

function removeStale(): void {
  for (const name of ours()) {
    const maker = Number(name.slice(PREFIX.length).split('-')[0]);
    if (!existsSync(`/proc/${maker}`)) ip('netns', 'del', name);
  }
}

function ours(): string[] {
  const names = ip('netns', 'list').split('\n');
  return names.map((line) => line.split(' ')[0]).filter((name) => name.startsWith(PREFIX));
}

function inside(host: string, ...command: string[]): void {
  ip('netns', 'exec', host, ...command);
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
