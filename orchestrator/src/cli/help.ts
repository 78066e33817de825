// The help page of slip-launch, laid out by yargs. Loaded only when asked for.
import yargs from 'yargs';
import type { FlagDefinition } from './flag-definition.js';

export interface FlagGroup {
  readonly title: string;
  readonly flags: readonly FlagDefinition[];
}

const USAGE = `slip-launch [launch flags] [TASK] [task flags]

Starts one worker per device on this node, and with --nnodes its part of several nodes. TASK is pretrain
when not given; bench-comm measures the collectives. --help after a task lists its flags.
Flags may stand anywhere, be written with hyphens or underscores; PET_* variables give defaults for launch flags.`;

const EXAMPLES: readonly [string, string][] = [
  ['slip-launch --nproc 8 pretrain --model SLIP_VITB16 --root /data/yfcc', 'eight workers on this machine'],
  ['slip-launch --nproc auto --recipe quickstart', 'a recipe, one worker per device'],
  ['slip-launch --nproc 8 bench-comm --sizes 1K:512M', 'how fast ranks talk, and whether they are right'],
  ['slip-launch --nnodes 2 --node-rank 0 --rdzv-endpoint node0:29500 --nproc 8', 'first of two machines'],
];

export async function renderHelp(groups: readonly FlagGroup[], columns: number): Promise<string> {
  let page = yargs([])
    .scriptName('slip-launch')
    .usage(USAGE)
    .help(false)
    .version(false)
    .wrap(columns)
    .epilogue('Exit codes: 0 finished, 75 stopped and can go on, others in docs/errors.md. More in docs/launch.md.');
  for (const [command, what] of EXAMPLES) page = page.example(command, what);
  for (const { title, flags } of groups)
    for (const flag of flags) {
      if (flag.hidden === true) continue;
      page = page.option(flag.name, {
        group: `${flag.group ?? title}:`,
        type: flag.type === 'array' ? 'array' : flag.type,
        description: flag.description,
        ...(flag.alias === undefined ? {} : { alias: [...flag.alias] }),
        ...(flag.default === undefined ? {} : { default: flag.default }),
      });
    }
  return page.getHelp();
}
