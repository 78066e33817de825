// From launcher flags to typed settings: torchrun's meanings, checked, with what is accepted but without effect named.
// Pure; the machine's facts are given.
import os from 'node:os';
import { SlipError } from '@slip/core';
import { type LogRouting, parseStreamMap } from '../agent/log-routing.js';
import { type Endpoint, parseEndpoint } from './network.js';

const DEFAULT_PORT = 29500;

export interface LaunchSettings {
  readonly numNodes: number;
  readonly nprocPerNode: number;
  readonly nodeRank: number;
  /** Of node 0; undefined for this machine only and any free port. */
  readonly endpoint?: Endpoint;
  /** Instead of an endpoint: where node 0 writes it, on storage that all nodes share. */
  readonly rendezvousFile?: string;
  /** With a rendezvous file: the address of node 0 that it names; default is that of its first network interface. */
  readonly rendezvousAddress?: string;
  readonly localAddress?: string;
  /** Interfaces for what ranks send each other, best first. */
  readonly commInterfaces?: readonly string[];
  readonly runId: string;
  readonly role: string;
  readonly maxRestarts: number;
  readonly joinTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** Silence after which an agent or the coordinator counts as lost. */
  readonly agentTimeoutMs: number;
  /** Each worker gets cores and GPUs for itself. */
  readonly bindWorkers: boolean;
  readonly logDir?: string;
  readonly logRouting: LogRouting;
  readonly signals: readonly NodeJS.Signals[];
  /** One line each: accepted, but without effect. */
  readonly notices: readonly string[];
}

export interface Machine {
  readonly numGpus: number;
  /** Cores this process may use. */
  readonly numCores: number;
}

/** Values by kebab-case flag name, only those given. */
export type GivenFlags = Readonly<Record<string, unknown>>;

/** @throws SlipError `config` naming the flag */
export function readLaunchSettings(given: GivenFlags, machine: Machine): LaunchSettings {
  const standalone = given.standalone === true;
  const numNodes = standalone ? 1 : readNumNodes(textOf(given, 'nnodes') ?? '1');
  const nodeRank = readNodeRank(given, numNodes);
  const rendezvous = standalone ? {} : readRendezvous(given, numNodes);
  const timing = readRendezvousConf(textOf(given, 'rdzv-conf'));
  const localAddress = textOf(given, 'local-addr');
  const commInterfaces = textOf(given, 'comm-interface')
    ?.split(',')
    .map((name) => name.trim());
  const logDir = textOf(given, 'log-dir');
  return {
    numNodes,
    nprocPerNode: readNproc(textOf(given, 'nproc') ?? '1', machine),
    nodeRank,
    ...rendezvous,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(commInterfaces === undefined ? {} : { commInterfaces }),
    runId: textOf(given, 'rdzv-id') ?? 'none',
    role: textOf(given, 'role') ?? 'default',
    maxRestarts: readCount(given, 'max-restarts', 3),
    ...timing,
    bindWorkers: given['bind-workers'] === true,
    ...(logDir === undefined ? {} : { logDir }),
    logRouting: readLogRouting(given),
    signals: readSignals(textOf(given, 'signals-to-handle')),
    notices: noticesOf(given, standalone),
  };
}

/** `auto` gives a worker per GPU or else per two cores: a worker's math library wants more than one. */
export function readNproc(text: string, machine: Machine): number {
  switch (text) {
    case 'auto':
      return machine.numGpus > 0 ? machine.numGpus : Math.max(1, Math.floor(machine.numCores / 2));
    case 'cpu':
      return machine.numCores;
    case 'gpu':
      if (machine.numGpus === 0)
        throw new SlipError('config', '--nproc gpu: no GPU is visible; use a number, cpu or auto');
      return machine.numGpus;
    default: {
      const nproc = Number(text);
      if (!Number.isInteger(nproc) || nproc < 1 || nproc > 1024)
        throw new SlipError('config', `--nproc ${text}: expected 1 to 1024, auto, cpu or gpu`);
      return nproc;
    }
  }
}

function readNumNodes(text: string): number {
  const match = /^(\d+)(?::(\d+))?$/.exec(text);
  const [min, max] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (match === null || min < 1 || min > 1024)
    throw new SlipError('config', `--nnodes ${text}: expected a number of nodes from 1 to 1024`);
  if (min !== max)
    throw new SlipError(
      'config',
      `--nnodes ${text}: a changing number of nodes (elastic) is not offered; give one number, such as --nnodes ${max}`,
    );
  return min;
}

function readNodeRank(given: GivenFlags, numNodes: number): number {
  if (numNodes > 1 && given['node-rank'] === undefined)
    throw new SlipError('config', `--nnodes ${numNodes} needs --node-rank on each node (0 to ${numNodes - 1})`);
  const nodeRank = numNodes === 1 ? 0 : readCount(given, 'node-rank', 0);
  if (nodeRank >= numNodes)
    throw new SlipError('config', `--node-rank ${nodeRank} is not below --nnodes ${numNodes}; ranks start at 0`);
  return nodeRank;
}

type Rendezvous = Pick<LaunchSettings, 'endpoint' | 'rendezvousFile' | 'rendezvousAddress'>;

function readRendezvous(given: GivenFlags, numNodes: number): Rendezvous {
  const text = textOf(given, 'rdzv-endpoint');
  if (text === undefined || !text.startsWith('file:')) {
    const endpoint = readEndpoint(given, numNodes);
    return endpoint === undefined ? {} : { endpoint };
  }
  const file = /^file:\/\/(\/.+)$/.exec(text)?.[1];
  if (file === undefined)
    throw new SlipError(
      'config',
      `--rdzv-endpoint ${text}: expected file:// and a full path, such as file:///shared/run/node0`,
    );
  if (numNodes === 1) return {};
  const address = textOf(given, 'master-addr');
  return { rendezvousFile: file, ...(address === undefined ? {} : { rendezvousAddress: address }) };
}

function readEndpoint(given: GivenFlags, numNodes: number): Endpoint | undefined {
  const text = textOf(given, 'rdzv-endpoint');
  const address = textOf(given, 'master-addr');
  const port = given['master-port'] === undefined ? undefined : readCount(given, 'master-port', DEFAULT_PORT);
  if (text !== undefined) return parseEndpoint('rdzv-endpoint', text, port ?? (numNodes > 1 ? DEFAULT_PORT : 0));
  if (address !== undefined || port !== undefined)
    return parseEndpoint('master-addr', address ?? '127.0.0.1', port ?? (numNodes > 1 ? DEFAULT_PORT : 0));
  if (numNodes > 1)
    throw new SlipError(
      'config',
      `--nnodes ${numNodes} needs --rdzv-endpoint HOST:PORT of node 0, the same on every node`,
    );
  return undefined;
}

/** torchrun's keys; those of its elastic rendezvous have no counterpart here. */
const CONF_KEYS = ['join_timeout', 'timeout', 'keep_alive_interval', 'keep_alive_max_attempt'];
const CONF_IGNORED = ['last_call_timeout', 'close_timeout', 'read_timeout', 'heartbeat_timeout', 'is_host', 'rank'];

function readRendezvousConf(text: string | undefined) {
  const values = new Map<string, number>();
  for (const part of text === undefined || text === '' ? [] : text.split(',')) {
    const [key, value] = part.split('=').map((word) => word.trim());
    if (key !== undefined && CONF_IGNORED.includes(key)) continue;
    if (key === undefined || !CONF_KEYS.includes(key))
      throw new SlipError('config', `--rdzv-conf: unknown key "${key}"; known are ${CONF_KEYS.join(', ')}`);
    const number = Number(value);
    if (value === undefined || value === '' || !(number > 0) || number > 1e6)
      throw new SlipError('config', `--rdzv-conf: ${key} needs a positive number, found "${value ?? ''}"`);
    values.set(key, number);
  }
  const joinTimeoutMs = 1000 * (values.get('join_timeout') ?? values.get('timeout') ?? 600);
  const heartbeatIntervalMs = Math.ceil(1000 * (values.get('keep_alive_interval') ?? 1));
  return {
    joinTimeoutMs,
    heartbeatIntervalMs,
    agentTimeoutMs: heartbeatIntervalMs * (values.get('keep_alive_max_attempt') ?? 20),
  };
}

function readLogRouting(given: GivenFlags): LogRouting {
  const [redirects, tee, filter] = [
    textOf(given, 'redirects'),
    textOf(given, 'tee'),
    textOf(given, 'local-ranks-filter'),
  ];
  const localRanks = filter?.split(',').map((part) => Number(part));
  if (localRanks !== undefined && !localRanks.every((rank) => Number.isInteger(rank) && rank >= 0))
    throw new SlipError('config', `--local-ranks-filter ${filter}: expected local ranks such as 0,1`);
  return {
    ...(redirects === undefined ? {} : { redirects: parseStreamMap('redirects', redirects) }),
    ...(tee === undefined ? {} : { tee: parseStreamMap('tee', tee) }),
    ...(localRanks === undefined ? {} : { localRanks }),
  };
}

function readSignals(text: string | undefined): NodeJS.Signals[] {
  const names = (text ?? 'SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR2').split(',').map((name) => name.trim());
  for (const name of names) {
    if (name === 'SIGUSR1')
      throw new SlipError('config', '--signals-to-handle: SIGUSR1 belongs to the inspector of Node; use SIGUSR2');
    if (!Object.hasOwn(os.constants.signals, name) || name === 'SIGKILL' || name === 'SIGSTOP')
      throw new SlipError('config', `--signals-to-handle: ${name} is not a signal that can be handled`);
  }
  return names as NodeJS.Signals[];
}

function noticesOf(given: GivenFlags, standalone: boolean): string[] {
  const notices: string[] = [];
  const backend = textOf(given, 'rdzv-backend');
  if (backend !== undefined) {
    if (!['static', 'c10d'].includes(backend))
      throw new SlipError('config', `--rdzv-backend ${backend}: only static and c10d are accepted`);
    notices.push(`--rdzv-backend ${backend}: node 0 hosts the rendezvous itself`);
  }
  const ignored: [string, string][] = [
    ['monitor-interval', 'exits are noticed at once'],
    ['start-method', 'workers are always spawned'],
    ['numa-binding', 'not supported yet, has no effect'],
  ];
  for (const [name, why] of ignored) if (given[name] !== undefined) notices.push(`--${name}: ${why}`);
  if (standalone)
    for (const name of ['nnodes', 'node-rank', 'rdzv-endpoint', 'master-addr', 'master-port'])
      if (given[name] !== undefined) notices.push(`--${name}: has no effect with --standalone`);
  return notices;
}

function textOf(given: GivenFlags, name: string): string | undefined {
  const value = given[name];
  return value === undefined ? undefined : String(value);
}

function readCount(given: GivenFlags, name: string, fallback: number): number {
  const value = given[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
    throw new SlipError('config', `--${name} ${value}: expected a whole number, 0 or more`);
  return value;
}
