// What the reports of the nodes mean: for each check whether it is well, and else what to mend. Pure.

/** What one node says of itself, from `slip-submit doctor-node`. */
export interface NodeReport {
  readonly nodeRank: number;
  readonly host: string;
  readonly nodeVersion: string;
  /** Empty where the C library is another. */
  readonly glibc: string;
  readonly arch: string;
  readonly numCores: number;
  readonly numGpus: number;
  /** Native parts that could not be loaded, with the reason. */
  readonly notLoaded: readonly string[];
  readonly openFiles: number;
  readonly sharedMemoryBytes: number;
  readonly freeBytes: number;
  /** Clock of this node minus that of node 0, milliseconds. */
  readonly clockSkewMs?: number;
  /** There and back over TCP to node 0, milliseconds, the quickest of several. */
  readonly roundTripMs?: number;
  /** After how long a file that node 0 had written was seen here, milliseconds. */
  readonly fileSeenAfterMs?: number;
  /** Why the three above are missing. */
  readonly problem?: string;
}

export interface BenchReport {
  readonly busBandwidthGBps: number;
  readonly timeMs: number;
  readonly bytes: number;
}

export interface Expectations {
  readonly nodes: number;
  readonly gpusPerNode: number;
  /** Without GPUs being asked for, their number is not looked at. */
  readonly gpusAreRequested: boolean;
}

export interface Finding {
  readonly level: 'ok' | 'note' | 'mend';
  readonly check: string;
  readonly text: string;
}

const OLDEST_NODE = [20, 15];
const LATE_FILE_MS = 5000;
const NOTED_SKEW_MS = 1000;
/** Memory that ranks of a machine share, per rank of a small model. */
const SHARED_MEMORY_BYTES = 1 << 30;
const OPEN_FILES = 1024;

export function findingsOf(
  reports: readonly NodeReport[],
  bench: BenchReport | undefined,
  expected: Expectations,
): Finding[] {
  const findings: Finding[] = [];
  const add = (level: Finding['level'], check: string, text: string) => findings.push({ level, check, text });
  const where = (found: readonly NodeReport[]) =>
    found.map(({ host, nodeRank }) => `${host} (node ${nodeRank})`).join(', ');

  if (reports.length < expected.nodes)
    add(
      'mend',
      'nodes',
      `${reports.length} of ${expected.nodes} nodes reported; see the output of the job for the others`,
    );
  else add('ok', 'nodes', `${reports.length} nodes: ${[...new Set(reports.map(({ host }) => host))].join(', ')}`);

  const old = reports.filter(({ nodeVersion }) => isOlder(nodeVersion));
  if (old.length > 0)
    add(
      'mend',
      'node',
      `Node is older than ${OLDEST_NODE.join('.')} on ${where(old)}: load another with --setup, or set it on PATH of this shell`,
    );
  else
    add(
      ...same(
        'node',
        reports.map(({ nodeVersion }) => `Node ${nodeVersion}`),
      ),
    );

  const broken = reports.filter(({ notLoaded }) => notLoaded.length > 0);
  if (broken.length > 0)
    add(
      'mend',
      'libraries',
      `${broken[0]!.notLoaded.join('; ')} on ${where(broken)}: unpack an archive made on a system as old as these nodes`,
    );
  else
    add(
      ...same(
        'libraries',
        reports.map(({ glibc, arch }) => `${arch}, glibc ${glibc === '' ? 'none' : glibc}`),
      ),
    );

  const problems = reports.filter(({ problem }) => problem !== undefined);
  for (const report of problems) add('mend', 'shared folder', `${where([report])}: ${report.problem}`);
  const seen = reports.flatMap(({ fileSeenAfterMs }) => fileSeenAfterMs ?? []);
  if (seen.length > 0 && problems.length === 0) {
    const slowest = Math.max(...seen);
    add(
      slowest > LATE_FILE_MS ? 'note' : 'ok',
      'shared folder',
      `a new file is seen on the other nodes after at most ${milliseconds(slowest)}${slowest > LATE_FILE_MS ? ': jobs start that much later' : ''}`,
    );
  }
  const skew = Math.max(0, ...reports.map(({ clockSkewMs }) => Math.abs(clockSkewMs ?? 0)));
  if (seen.length > 0)
    add(
      skew > NOTED_SKEW_MS ? 'note' : 'ok',
      'clock',
      `clocks differ by at most ${milliseconds(skew)}${skew > NOTED_SKEW_MS ? ': training does not mind, but logs of several nodes are out of order; is ntpd or chronyd running?' : ''}`,
    );

  const trips = reports.flatMap(({ roundTripMs }) => roundTripMs ?? []);
  if (bench === undefined)
    add(
      'mend',
      'network',
      'bench-comm did not finish: its output above says why; nodes have to reach each other on any TCP port',
    );
  else
    add(
      'ok',
      'network',
      `all-reduce of ${(bench.bytes / 2 ** 20).toFixed(0)} MB in ${milliseconds(bench.timeMs)}, bus bandwidth ${bench.busBandwidthGBps.toFixed(2)} GB/s` +
        (trips.length > 0 ? `; round trip to node 0 at most ${milliseconds(Math.max(...trips))}` : ''),
    );

  const fewGpus = reports.filter(({ numGpus }) => numGpus < expected.gpusPerNode);
  if (expected.gpusAreRequested && fewGpus.length > 0)
    add(
      'note',
      'devices',
      `fewer than ${expected.gpusPerNode} GPUs visible on ${where(fewGpus)} (${fewGpus[0]!.numGpus}): see --gpu-request`,
    );
  else
    add(
      ...same(
        'devices',
        reports.map(({ numCores, numGpus }) => `${numCores} cores and ${numGpus} GPUs for the job`),
      ),
    );

  const small = reports.filter(({ sharedMemoryBytes }) => sharedMemoryBytes < SHARED_MEMORY_BYTES);
  if (small.length > 0)
    add(
      'mend',
      'shared memory',
      `/dev/shm has ${gigabytes(small[0]!.sharedMemoryBytes)} free on ${where(small)}: mount it larger, or use --transport zmq`,
    );
  else
    add(
      'ok',
      'shared memory',
      `${gigabytes(Math.min(...reports.map((report) => report.sharedMemoryBytes)))} free in /dev/shm`,
    );
  const few = reports.filter(({ openFiles }) => openFiles < OPEN_FILES);
  if (few.length > 0)
    add('mend', 'open files', `${few[0]!.openFiles} on ${where(few)}: --setup 'ulimit -n ${OPEN_FILES * 4}'`);
  const free = Math.min(...reports.map(({ freeBytes }) => freeBytes));
  if (reports.length > 0) add('ok', 'disk', `${gigabytes(free)} free in the run folder`);
  return findings;
}

function same(check: string, texts: readonly string[]): [Finding['level'], string, string] {
  const different = [...new Set(texts)];
  if (different.length <= 1) return ['ok', check, different[0] ?? 'nothing reported'];
  return ['note', check, `nodes differ: ${different.join('; ')}`];
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return major < OLDEST_NODE[0]! || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]!);
}

function milliseconds(value: number): string {
  return value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value.toFixed(1)} ms`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
