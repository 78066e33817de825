// The command slip-checkpoint: looks at weights, checks them, and carries them to other programs. argv in, exit code out.
import { SlipError } from '@slip/core';
import { cacheFolder, mirrorOf } from '@slip/weights';
import yargs, { type Argv } from 'yargs';
import { average, convert, diff, inspect, type Output, prune, published, verify } from './commands.js';

const USAGE = `slip-checkpoint COMMAND

Looks at weights, checks them, and carries them to and from PyTorch, timm, open_clip and others.
A checkpoint is a step-... folder of a run, a .safetensors file, or a .pt file: the original's, timm's, CLIP's.
No file is ever executed, whatever its pickle says.`;

const TARGET_HELP =
  "original (.pt for the original's scripts), torch (.pt for weights_only=True), checkpoint (folder to continue from), safetensors, timm (tower), open_clip (folder), hugging-face (folder for transformers)";

/** @param env for the place of the cache (SLIP_CACHE, or XDG_CACHE_HOME/slip) and SLIP_MIRROR */
export async function slipCheckpoint(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    await commands(yargs([...argv]), env).parseAsync();
    return 0;
  } catch (thrown) {
    const error = SlipError.from(thrown);
    process.stderr.write(`slip-checkpoint: ${error.toString()}\n`);
    if (error.code === 'internal' && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
    return error.exitCode;
  }
}

function commands(page: Argv, env: NodeJS.ProcessEnv): Argv {
  return page
    .scriptName('slip-checkpoint')
    .usage(USAGE)
    .option('json', { type: 'boolean', default: false, global: true, description: 'answer as JSON on standard output' })
    .command(
      'inspect [path]',
      'what a checkpoint holds',
      (command) =>
        withSource(command, env)
          .option('tensors', { type: 'boolean', default: false, description: 'every tensor with type and shape' })
          .example('slip-checkpoint inspect runs/b16/checkpoints/latest', 'the newest checkpoint of a run')
          .example('slip-checkpoint inspect --pretrained slip_base_100ep', 'a published one, downloaded first'),
      (flags) => inspect(flags, flags.tensors, outputOf(flags)),
    )
    .command(
      'verify [path]',
      'read every byte and compare checksums; a run folder stands for all its checkpoints',
      (command) => withSource(command, env),
      (flags) => verify(flags, outputOf(flags)),
    )
    .command(
      'convert <paths..>',
      'write a checkpoint in another form: SOURCE TARGET, or TARGET with --pretrained',
      (command) =>
        withTarget(withCache(command, env), true)
          .positional('paths', { type: 'string', array: true, demandOption: true, description: 'source and target' })
          .example('slip-checkpoint convert slip_base_100ep.pt b16/checkpoints --to checkpoint', 'the original to ours')
          .example('slip-checkpoint convert runs/b16/checkpoints/best best.pt --to original', 'ours to the original')
          .example('slip-checkpoint convert best.pt tower.pt --to timm', 'the vision tower for timm'),
      (flags) => {
        const { source, target } = sourceAndTarget(flags.paths, flags.pretrained);
        return convert({ ...flags, path: source }, { ...flags, target }, outputOf(flags));
      },
    )
    .command(
      'average <target> <paths..>',
      'the mean of several checkpoints of one model',
      (command) =>
        withTarget(command, false)
          .positional('target', { type: 'string', demandOption: true, description: 'file or folder to write' })
          .positional('paths', {
            type: 'string',
            array: true,
            demandOption: true,
            description: 'checkpoints to average',
          }),
      (flags) => average(flags.paths, { ...flags, optimizer: false }, outputOf(flags)),
    )
    .command(
      'diff <first> <second>',
      'compare two checkpoints tensor by tensor; exit code 7 when they differ',
      (command) =>
        command
          .positional('first', { type: 'string', demandOption: true, description: 'a checkpoint' })
          .positional('second', { type: 'string', demandOption: true, description: 'another, of any form' })
          .option('limit', { type: 'number', default: 10, description: 'how many differing tensors to list' }),
      (flags) => diff([flags.first, flags.second], flags.limit, outputOf(flags)),
    )
    .command(
      'prune <folder>',
      'remove old checkpoints of a run; best and the newest valid ones stay',
      (command) =>
        command
          .positional('folder', { type: 'string', demandOption: true, description: 'a run, or its checkpoints folder' })
          .option('keep-last', { type: 'number', default: 3, description: 'newest valid ones to keep' })
          .option('keep-every', { type: 'number', default: 0, description: 'also keep steps that are multiples of it' })
          .option('dry-run', { type: 'boolean', default: false, description: 'only say what would go' }),
      (flags) => prune(flags.folder, flags, outputOf(flags)),
    )
    .command(
      'published',
      "the authors' 19 models with scores and addresses",
      (command) => command,
      (flags) => published(outputOf(flags)),
    )
    .demandCommand(1, 'a command is needed, for example inspect')
    .strict()
    .wrap(Math.min(120, process.stdout.columns ?? 120))
    .epilogue('Exit codes are in docs/errors.md. More in docs/checkpoints.md.')
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new SlipError('config', `${message}; see slip-checkpoint --help`);
    });
}

function withSource(command: Argv<{ json: boolean }>, env: NodeJS.ProcessEnv) {
  return withCache(command, env).positional('path', { type: 'string', description: 'a checkpoint' });
}

function withCache(command: Argv<{ json: boolean }>, env: NodeJS.ProcessEnv) {
  return command
    .option('pretrained', {
      type: 'string',
      requiresArg: true,
      description: 'instead of a path: a published model, downloaded to the cache',
    })
    .option('cache', { type: 'string', default: cacheFolder(env), description: 'where downloads are kept' })
    .option('mirror', {
      type: 'string',
      default: mirrorOf(env),
      description: "address of a folder with the published files, instead of the authors'",
    });
}

function withTarget<T>(command: Argv<T>, optimizer: boolean) {
  const page = command
    .option('to', { type: 'string', demandOption: true, description: TARGET_HELP })
    .option('model', { type: 'string', description: 'name of the model, where the file does not tell it' })
    .option('vision-heads', { type: 'number', description: 'attention heads of the vision tower, likewise' })
    .option('text-heads', { type: 'number', description: 'attention heads of the text tower, likewise' })
    .option('activation', {
      type: 'string',
      choices: ['gelu', 'quick_gelu'] as const,
      description: 'of both towers, likewise',
    })
    .option('force', { type: 'boolean', default: false, description: 'replace a file that is there' })
    .option('optimizer', {
      type: 'boolean',
      hidden: !optimizer,
      description: 'with the moments of AdamW; default: yes for original and checkpoint, no for torch',
    });
  return page;
}

function sourceAndTarget(paths: readonly string[], pretrained: string | undefined) {
  const wanted = pretrained === undefined ? 2 : 1;
  if (paths.length === wanted)
    return { source: pretrained === undefined ? paths[0] : undefined, target: paths[wanted - 1] };
  const form = pretrained === undefined ? 'SOURCE TARGET' : 'TARGET beside --pretrained';
  throw new SlipError('config', `convert wants ${form}, but there are ${paths.length} paths: ${paths.join(' ')}`);
}

function outputOf({ json }: { json: boolean }): Output {
  return { json, write: (text) => void process.stdout.write(text) };
}
