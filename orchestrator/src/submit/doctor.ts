// `slip-submit doctor --nodes N`: a short job in which every node looks at itself and at the others, and what there is to mend.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, ERROR_CODES } from '@slip/core';
import { agentStep, inTask, type ProgramPlace, scriptHead, srunPerNode } from './batch-script.js';
import { checkSubmission } from './checks.js';
import { type BenchReport, type Finding, findingsOf, type NodeReport } from './doctor-findings.js';
import { REPORT_MARK } from './doctor-node.js';
import { isActive, openJobQuery } from './job-query.js';
import { makePlan } from './make-plan.js';
import { chooseWay, restAddress, sendPlan } from './send.js';
import type { SubmitPlan } from './submit-plan.js';

type Values = Readonly<Record<string, unknown>>;

/** What a job of a doctor is unless told otherwise. */
const USUAL: Values = { timeout: 10, 'signal-lead': 30, 'job-name': 'slip-doctor', 'job-dir': 'runs/doctor-%j' };
/** Through the network even where nodes of a test share a machine. */
const BENCH_FLAGS = ['--sizes=4M', '--transport=zmq', '--json'];

/** @returns 0 when nothing has to be mended */
export async function doctor(
  given: Values,
  environment: NodeJS.ProcessEnv,
  program: ProgramPlace,
  print: (line: string) => void,
): Promise<number> {
  const log = createLogger('submit', given.json === true ? 'warn' : 'info');
  const { plan: made, task } = await makePlan('bench-comm', { ...USUAL, ...given }, { environment, program, log });
  const plan = { ...made, taskFlags: BENCH_FLAGS };
  const script = renderDoctorScript(plan, program);
  const via = (given.via ?? 'auto') as 'auto' | 'sbatch' | 'rest';
  const { errors, warnings } = await checkSubmission({ plan, task, script, via, environment });
  if (given['dry-run'] === true) {
    print(script);
    for (const error of errors) print(`# refused: ${error.toString()}`);
    return errors[0]?.exitCode ?? 0;
  }
  for (const warning of warnings) log.warn(warning);
  if (errors[0] !== undefined) throw errors[0];
  const restUrl = given['rest-url'] as string | undefined;
  const sent = await sendPlan(
    plan,
    script,
    chooseWay(via, restAddress(restUrl, environment), environment),
    environment,
  );
  if (given.json !== true)
    print(
      `job ${sent.jobId}, at most ${plan.timeLimitMinutes} minutes once it starts; its folder is ${sent.runFolder}`,
    );
  const jobs = openJobQuery(environment, restUrl);
  while (isActive(await jobs.facts(sent.jobId))) await sleep(1000);
  const findings = await readFindings(sent.runFolder, sent.jobId, plan);
  if (given.json === true) print(JSON.stringify({ ...sent, findings }));
  else for (const { level, check, text } of findings) print(`${level.padEnd(5)} ${check.padEnd(14)} ${text}`);
  return findings.some(({ level }) => level === 'mend') ? ERROR_CODES.unsupported : 0;
}

/** The nodes look at each other first, and then talk as ranks do. */
export function renderDoctorScript(plan: SubmitPlan, program: ProgramPlace): string {
  return [
    ...scriptHead(plan, program),
    'mkdir -p "$run/slurm/rendezvous"',
    srunPerNode(plan),
    inTask(
      plan,
      `doctor-node "$2" --nodes ${plan.nodes} --node-rank "$SLURM_PROCID" --address "$SLURM_LAUNCH_NODE_IPADDR"`,
    ),
    '  "$node" "$slip/slip-submit.js" "$run"',
    '',
    ...agentStep({ ...plan, workersPerNode: 1 }, []),
    '  || exit',
    '',
  ].join('\n');
}

async function readFindings(runFolder: string, jobId: number, plan: SubmitPlan): Promise<Finding[]> {
  const output = path.join(runFolder, 'slurm', `${jobId}.out`);
  const text = await untilThere(output);
  if (text === undefined)
    return [
      {
        level: 'mend',
        check: 'shared folder',
        text: `${output} is not seen here: ${runFolder} has to be on storage that this machine and all nodes share`,
      },
    ];
  const lines = text.split('\n');
  const reports = lines.flatMap((line) => {
    const at = line.indexOf(REPORT_MARK);
    return at === -1 ? [] : [JSON.parse(line.slice(at + REPORT_MARK.length)) as NodeReport];
  });
  reports.sort((a, b) => a.nodeRank - b.nodeRank);
  const bench = lines.flatMap(readBench).at(-1);
  const expected = {
    nodes: plan.nodes,
    gpusPerNode: plan.workersPerNode,
    gpusAreRequested: plan.gpuRequest !== 'none',
  };
  return findingsOf(reports, bench, expected);
}

/** Rank 0's line is on the terminal of the first node, which is the output of the job. */
function readBench(line: string): BenchReport[] {
  try {
    const { bytes, timeMs, busBandwidthGBps } = JSON.parse(line);
    return typeof busBandwidthGBps === 'number' ? [{ bytes, timeMs, busBandwidthGBps }] : [];
  } catch {
    return [];
  }
}

/** Shared storage may show a file a minute late. */
async function untilThere(file: string): Promise<string | undefined> {
  for (const end = Date.now() + 70_000; ; await sleep(500)) {
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined || Date.now() > end) return text;
  }
}
