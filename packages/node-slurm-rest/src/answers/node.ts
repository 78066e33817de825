// A node, a partition and the controller's own account of itself, in one shape for all API versions. Pure.
import { type Answer, isAnswer, readNumber, readText, readTexts } from './values.js';

export interface Node {
  readonly name: string;
  /** Upper case: IDLE, MIXED, ALLOCATED, DOWN, ERROR, FUTURE, UNKNOWN. */
  readonly state: string;
  /** Such as DRAIN, NOT_RESPONDING, REBOOT_REQUESTED. */
  readonly stateFlags: readonly string[];
  /** Why it is down or drained, in an administrator's words. */
  readonly reason: string;
  readonly address: string;
  readonly hostname: string;
  readonly cpus: number | undefined;
  readonly allocatedCpus: number | undefined;
  readonly memoryMb: number | undefined;
  /** Slurm's text, `gpu:a100:8`. */
  readonly gres: string;
  readonly gresUsed: string;
  /** GPUs of all types. */
  readonly gpus: number;
  readonly gpusUsed: number;
  readonly features: readonly string[];
  readonly partitions: readonly string[];
  readonly slurmVersion: string;
  readonly raw: Answer;
}

export function readNode(raw: Answer): Node {
  const [state = 'unknown', ...more] = readTexts(raw.state);
  return {
    name: readText(raw.name),
    state: state.toUpperCase(),
    stateFlags: [...more, ...readTexts(raw.state_flags)].map((flag) => flag.toUpperCase()),
    reason: readText(raw.reason),
    address: readText(raw.address),
    hostname: readText(raw.hostname),
    cpus: readNumber(raw.cpus),
    allocatedCpus: readNumber(raw.alloc_cpus),
    memoryMb: readNumber(raw.real_memory),
    gres: readText(raw.gres),
    gresUsed: readText(raw.gres_used),
    gpus: countGpus(readText(raw.gres)),
    gpusUsed: countGpus(readText(raw.gres_used)),
    features: readTexts(raw.features),
    partitions: readTexts(raw.partitions),
    slurmVersion: readText(raw.slurmd_version) || readText(raw.version),
    raw,
  };
}

/** `gpu:a100:4(S:0-1),gpu:2,shard:8` has 6 GPUs. */
export function countGpus(gres: string): number {
  let total = 0;
  for (const part of gres.replace(/\([^)]*\)/g, '').split(',')) {
    const words = part.split(':');
    if (words[0] === 'gpu') total += words.length === 1 ? 1 : Number(words.at(-1)) || 0;
  }
  return total;
}

export interface Partition {
  readonly name: string;
  /** UP, DOWN, DRAIN or INACTIVE. */
  readonly state: string;
  readonly nodes: string;
  readonly totalNodes: number | undefined;
  readonly totalCpus: number | undefined;
  /** Infinity for none. */
  readonly maxTimeMinutes: number | undefined;
  readonly defaultTimeMinutes: number | undefined;
  readonly priorityTier: number | undefined;
  /** Seconds between a preemption and its KILL; undefined where this version does not say. */
  readonly graceTimeSeconds: number | undefined;
  /** Lower case: requeue, cancel, suspend, off; empty where this version does not say. */
  readonly preemptModes: readonly string[];
  readonly raw: Answer;
}

/** Up to v0.0.38 all keys are flat; later they are grouped. */
export function readPartition(raw: Answer): Partition {
  const group = (name: string): Answer => (isAnswer(raw[name]) ? raw[name] : {});
  const unlimited = (value: number | undefined) => (value === -1 ? Number.POSITIVE_INFINITY : value);
  return {
    name: readText(raw.name),
    state: (readTexts(raw.state ?? group('partition').state)[0] ?? 'UNKNOWN').toUpperCase(),
    nodes: readText(raw.nodes) || readText(group('nodes').configured),
    totalNodes: readNumber(raw.total_nodes ?? group('nodes').total),
    totalCpus: readNumber(raw.total_cpus ?? group('cpus').total),
    maxTimeMinutes: unlimited(readNumber(raw.max_time_limit ?? group('maximums').time)),
    defaultTimeMinutes: unlimited(readNumber(raw.default_time_limit ?? group('defaults').time)),
    priorityTier: readNumber(raw.priority_tier ?? group('priority').tier),
    graceTimeSeconds: readNumber(raw.preemption_grace_time ?? raw.grace_time),
    preemptModes: readTexts(raw.preemption_mode).map((mode) => mode.toLowerCase()),
    raw,
  };
}

export interface Controller {
  readonly hostname: string;
  readonly isUp: boolean;
  readonly isPrimary: boolean;
}

export function readController(raw: Answer): Controller {
  const said = readText(raw.ping) || readText(raw.pinged);
  return {
    hostname: readText(raw.hostname),
    isUp: raw.responding === true || said.toUpperCase() === 'UP',
    isPrimary: raw.primary === true || readText(raw.mode).toLowerCase() === 'primary',
  };
}

export interface Diagnostics {
  readonly jobsSubmitted: number | undefined;
  readonly jobsStarted: number | undefined;
  readonly jobsCompleted: number | undefined;
  readonly jobsPending: number | undefined;
  readonly jobsRunning: number | undefined;
  readonly raw: Answer;
}

export function readDiagnostics(raw: Answer): Diagnostics {
  return {
    jobsSubmitted: readNumber(raw.jobs_submitted),
    jobsStarted: readNumber(raw.jobs_started),
    jobsCompleted: readNumber(raw.jobs_completed),
    jobsPending: readNumber(raw.jobs_pending),
    jobsRunning: readNumber(raw.jobs_running),
    raw,
  };
}
