// Resolving a training task: defaults, recipe and flags made one configuration, and checked as a whole.
import { nearestName, SlipError } from '@slip/core';
import { configKey, type FlagDefinition } from './flag-definition.js';
import { hashConfig } from './identity.js';
import { choosePrecision } from './precision.js';
import { flagNamed, readRecipe } from './recipe.js';
import { checkTraining, type TaskName, type TrainingConfig } from './training-config.js';
import { checkValue } from './values.js';

/** What a task adds to what all training tasks have. */
export interface TrainingTask<C extends TrainingConfig> {
  readonly name: TaskName;
  readonly flags: readonly FlagDefinition[];
  /** Sets defaults that depend on what else was given; `values` by configuration key, `given` by flag name. */
  settle(values: Record<string, unknown>, given: ReadonlySet<string>): void;
  /** Beside `checkTraining`. @throws SlipError `config` or `unsupported` naming the flags */
  check(config: C): void;
  notices(config: C): string[];
  warnings(config: C, given: ReadonlySet<string>): string[];
}

export interface TaskInput {
  /** By kebab-case name, only those given. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly recipe?: string;
  readonly launch: { readonly numNodes: number; readonly nprocPerNode: number };
  readonly cwd: string;
}

export interface ResolvedConfig<C extends TrainingConfig = TrainingConfig> {
  readonly config: C;
  readonly hash: string;
  /** `--rows-per-micro-batch` was given, so that nothing else may replace it. */
  readonly rowsAreGiven: boolean;
  /** Lines for people: what was accepted without effect. */
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
}

/** @throws SlipError `config` or `unsupported`, naming the flag or the recipe's line */
export async function resolveTraining<C extends TrainingConfig>(
  task: TrainingTask<C>,
  input: TaskInput,
): Promise<ResolvedConfig<C>> {
  const values: Record<string, unknown> = task.name === 'pretrain' ? {} : { task: task.name };
  for (const flag of task.flags) if (flag.default !== undefined) values[configKey(flag.name)] = flag.default;
  const recipe = input.recipe === undefined ? {} : await readRecipe(input.recipe, input.cwd, task.flags);
  for (const [name, value] of Object.entries(recipe)) values[configKey(name)] = value;
  const given = new Set(Object.keys(recipe));
  for (const [name, raw] of Object.entries(input.flags)) {
    const flag = flagNamed(name, task.flags);
    if (flag === undefined) throw unknownFlag(name, task.flags);
    values[configKey(flag.name)] = checkValue(flag, raw, `--${flag.name}`);
    given.add(flag.name);
  }
  task.settle(values, given);
  const { precision, notice } = choosePrecision(String(values.precision), values.disableAmp === true, {
    device: String(values.device),
    takesHalves: task.name === 'pretrain',
  });
  values.precision = precision;
  const { numNodes, nprocPerNode } = input.launch;
  const rowsPerMicroBatch = (values.rowsPerMicroBatch ?? Number(values.batchSize) * numNodes * nprocPerNode) as number;
  const config = { ...values, rowsPerMicroBatch, ...input.launch } as unknown as C;
  checkTraining(config);
  task.check(config);
  return {
    config,
    hash: hashConfig(config, task.flags),
    rowsAreGiven: given.has('rows-per-micro-batch'),
    notices: [...task.notices(config), ...(notice === undefined ? [] : [notice])],
    warnings: [...task.warnings(config, given), ...idleFactors(config, given)],
  };
}

function idleFactors({ compress }: TrainingConfig, given: ReadonlySet<string>): string[] {
  const idle = compress === 'powersgd' ? [] : ['powersgd-rank', 'powersgd-start'];
  return idle.filter((name) => given.has(name)).map((name) => `--${name} has no effect without --compress powersgd`);
}

function unknownFlag(name: string, flags: readonly FlagDefinition[]): SlipError {
  const nearest = nearestName(
    name,
    flags.map((flag) => flag.name),
  );
  return new SlipError(
    'config',
    `unknown flag --${name}${nearest === undefined ? '' : `; did you mean --${nearest}?`}`,
  );
}
