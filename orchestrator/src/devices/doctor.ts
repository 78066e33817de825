// `slip-launch doctor`: what each device needs, what this machine has of it, a short training on those that are here with its error
// against the CPU, and the command that mends what is missing.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES } from '@slip/core';
import { type DeviceKind, type DeviceReport, findDeviceFacts, mendFailed, reportOnDevices } from '@slip/devices';

/** Above it a device computes something else. Rounding of float32 over five steps stays far below. */
const LARGEST_ERROR = 1e-3;
/** Compiling for a GPU takes most of it. */
const PATIENCE_MS = 180_000;

export interface Trial {
  readonly kind: DeviceKind;
  readonly isWell: boolean;
  /** In one line. */
  readonly text: string;
}

export interface DoctorFlags {
  readonly json: boolean;
  /** Only this one, which then has to be well; all without it. */
  readonly device?: DeviceKind;
}

/** @returns 0 when the device that is asked for, or the CPU, is well; what else is found is told and is no reason to fail */
export async function doctorDevices(
  { json, device }: DoctorFlags,
  environment: NodeJS.ProcessEnv,
  print: (line: string) => void,
): Promise<number> {
  const facts = findDeviceFacts(environment);
  const all = reportOnDevices(facts);
  const reports = device === undefined ? all : all.filter(({ kind }) => kind === device);
  const trials: Trial[] = [];
  for (const report of reports) {
    if (!json) print(describe(report));
    if (!report.isUsable) continue;
    const trial = await tryOut(report.kind, environment);
    trials.push(trial);
    if (json) continue;
    print(`  ${trial.isWell ? 'tried   ' : 'FAILED  '} ${trial.text}`);
    const mend = trial.isWell ? undefined : mendFailed(report.kind, facts);
    if (mend !== undefined) print(`  to mend  ${mend}`);
  }
  if (json) print(JSON.stringify({ reports, trials }));
  const wanted = device ?? 'cpu';
  const isWell = trials.some((trial) => trial.kind === wanted && trial.isWell);
  return isWell ? 0 : ERROR_CODES.unsupported;
}

export function describe({ kind, needs, found, isUsable, mend }: DeviceReport): string {
  return [
    `${kind}: ${isUsable ? 'here' : 'not here'}`,
    `  needs    ${needs}`,
    `  found    ${found}`,
    ...(mend === undefined ? [] : [`  to mend  ${mend}`]),
  ].join('\n');
}

async function tryOut(kind: DeviceKind, environment: NodeJS.ProcessEnv): Promise<Trial> {
  const program = fileURLToPath(new URL('../../../worker/dist/self-test/self-test.js', import.meta.url));
  const child = spawn(process.execPath, [program, kind], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    output += String(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors += String(chunk);
  });
  const ending = await new Promise<string>((resolve) =>
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`)),
  );
  clearTimeout(timer);
  return { kind, ...judge(output, ending === 'exit code 0' ? undefined : ending, errors) };
}

/** @param ending how the process ended, unless well */
export function judge(output: string, ending: string | undefined, errors: string): Omit<Trial, 'kind'> {
  const line = output.trim().split('\n').at(-1) ?? '';
  const result = line.startsWith('{') ? (JSON.parse(line) as Record<string, number | string>) : {};
  if (ending !== undefined || typeof result.lossError !== 'number') {
    const why = result.problem ?? errors.trim().split('\n').at(-1);
    const own = String(why).replace('; slip-launch doctor tells what it found', '');
    return { isWell: false, text: `the training ended with ${ending}: ${own}` };
  }
  const { lossError, firstStepMs, stepMs, name } = result as Record<string, number>;
  const isWell = lossError < LARGEST_ERROR;
  return {
    isWell,
    text:
      `five steps of a small CLIP on ${name}: losses within ${lossError.toExponential(1)} of the CPU's` +
      `${isWell ? '' : ` (more than ${LARGEST_ERROR})`}; first step ${(firstStepMs / 1000).toFixed(1)} s, then ${stepMs.toFixed(0)} ms`,
  };
}
