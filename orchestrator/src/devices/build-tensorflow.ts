// `npm run build-tensorflow -- --output DIR`: TensorFlow's addon for Node, built for a TensorFlow of today. The stock package is bound to
// TensorFlow 2.9 and CUDA 11.2; Python's wheels carry the same C library, with its headers, in every version.
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { SlipError } from '@slip/core';
import { runCommand } from './run-command.js';

const ADDON = '@tensorflow/tfjs-node@4.22.0';
const TENSORFLOW = '2.18.1';
const NODE_GYP = '12.4.0';
const NAPI = '8';

const USAGE = `usage: npm run build-tensorflow -- --output DIR [--gpu] [--tensorflow VERSION | --wheel FILE] [--python PYTHON] [--nodedir DIR]

Builds TensorFlow's addon for Node into DIR, with the C library of Python's TensorFlow ${TENSORFLOW}, for --device tensorflow:
SLIP_TENSORFLOW=DIR slip-launch --device tensorflow ...

  --output DIR          where to; about 1 GB
  --gpu                 the library with CUDA 12 (package tensorflow) instead of the one for CPUs (tensorflow-cpu); its CUDA
                        libraries have to be found when it is used: pip install 'tensorflow[and-cuda]', or module load
  --tensorflow VERSION  another version
  --wheel FILE          a wheel that is here already; nothing of TensorFlow is downloaded then
  --python PYTHON       Python with pip, 3.9 or later; python3 unless given
  --nodedir DIR         folder with include/node of this Node; found beside the program where it is there

Needs g++, make and Python.`;

interface BuildOptions {
  readonly output: string;
  readonly gpu: boolean;
  readonly tensorflow: string;
  readonly wheel?: string;
  readonly python: string;
  readonly nodedir?: string;
}

async function main(argv: string[]): Promise<void> {
  const { values } = parseArgs({
    args: argv,
    options: {
      output: { type: 'string' },
      gpu: { type: 'boolean', default: false },
      tensorflow: { type: 'string', default: TENSORFLOW },
      wheel: { type: 'string' },
      python: { type: 'string', default: 'python3' },
      nodedir: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  if (values.output === undefined) throw new SlipError('config', '--output DIR is missing; --help tells more');
  await build({ ...values, output: path.resolve(values.output) } as BuildOptions);
}

async function build(options: BuildOptions): Promise<void> {
  const { output } = options;
  const startedAt = performance.now();
  const tell = (line: string) =>
    console.log(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${line}`);
  await mkdir(output, { recursive: true });
  const scratch = await mkdtemp(path.join(output, '.build-'));
  try {
    const nodedir = findNodeHeaders(options.nodedir);
    tell(`the addon ${ADDON} and what it needs, from npm`);
    const addon = await bringAddon(output, scratch);
    const wheel = options.wheel ?? (await download(options, scratch, tell));
    tell(`the C library and headers of ${path.basename(wheel)}`);
    await extract(options.python, wheel, scratch);
    await placeLibrary(path.join(scratch, 'tensorflow'), path.join(addon, 'deps'));
    tell(`compiling with node-gyp, headers of Node ${nodedir === undefined ? 'downloaded' : `in ${nodedir}`}`);
    await compile(output, addon, nodedir);
    await linkProjectsTfjs(output);
    tell('a product of two matrices on it');
    const version = await tryOut(addon);
    tell(
      `done: TensorFlow ${version}. Use it with\n\n  SLIP_TENSORFLOW=${output} npx slip-launch --device tensorflow ...`,
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Of this very Node, where a package or an archive of it put them. */
function findNodeHeaders(given: string | undefined): string | undefined {
  const places = given === undefined ? [path.resolve(process.execPath, '../..')] : [path.resolve(given)];
  const found = places.find((place) => existsSync(path.join(place, 'include/node/node_api.h')));
  if (given !== undefined && found === undefined)
    throw new SlipError('config', `--nodedir ${given} has no include/node/node_api.h`);
  return found;
}

/** The package without its install script, and its small dependencies without TensorFlow.js itself. */
async function bringAddon(output: string, scratch: string): Promise<string> {
  const packed = await runCommand('npm', ['pack', ADDON, '--silent', '--pack-destination', scratch]);
  await runCommand('tar', ['-xzf', path.join(scratch, packed.trim().split('\n').at(-1)!), '-C', scratch]);
  const manifest = JSON.parse(await readFile(path.join(scratch, 'package/package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const needed = Object.entries(manifest.dependencies).filter(([name]) => !name.startsWith('@tensorflow/'));
  const dependencies = { ...Object.fromEntries(needed), 'node-gyp': NODE_GYP };
  await writeFile(
    path.join(output, 'package.json'),
    `${JSON.stringify({ name: 'slip-tensorflow', private: true, dependencies }, null, 2)}\n`,
  );
  await runCommand('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', output]);
  const addon = path.join(output, 'node_modules/@tensorflow/tfjs-node');
  await rm(addon, { recursive: true, force: true });
  await mkdir(path.dirname(addon), { recursive: true });
  await rename(path.join(scratch, 'package'), addon);
  return addon;
}

/** The library does not depend on Python's version; pip has to be told one that it was packed for. */
async function download(
  { python, gpu, tensorflow }: BuildOptions,
  folder: string,
  tell: (line: string) => void,
): Promise<string> {
  const name = `${gpu ? 'tensorflow' : 'tensorflow-cpu'}==${tensorflow}`;
  tell(`${name}, from Python's index (${gpu ? 600 : 230} MB)`);
  await runCommand(python, [
    ...['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--python-version', '3.11', '--dest', folder],
    name,
  ]);
  const wheel = (await readdir(folder)).find((file) => file.endsWith('.whl'));
  if (wheel === undefined) throw new SlipError('unsupported', `pip brought no wheel of ${name}`);
  return path.join(folder, wheel);
}

const EXTRACT = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    names = [n for n in wheel.namelist() if n.startswith(("tensorflow/libtensorflow_cc", "tensorflow/libtensorflow_framework",
        "tensorflow/include/tensorflow/", "tensorflow/include/tsl/", "tensorflow/include/xla/tsl/"))]
    wheel.extractall(sys.argv[2], names)
`;

async function extract(python: string, wheel: string, folder: string): Promise<void> {
  if (!existsSync(wheel)) throw new SlipError('data', `--wheel ${wheel}: there is no such file`);
  await runCommand(python, ['-c', EXTRACT, path.resolve(wheel), folder]);
}

/** Under the names that the addon is linked with; the loader looks for the ones with a number. */
async function placeLibrary(tensorflow: string, deps: string): Promise<void> {
  const libraries = (await readdir(tensorflow)).filter((name) => /^libtensorflow_(cc|framework)\.so/.test(name));
  const named = (part: string) => libraries.find((name) => name.startsWith(`libtensorflow_${part}`));
  const [cc, framework] = [named('cc'), named('framework')];
  if (cc === undefined || framework === undefined)
    throw new SlipError('unsupported', `the wheel has no libtensorflow_cc and libtensorflow_framework: ${libraries}`);
  await rm(deps, { recursive: true, force: true });
  await mkdir(path.join(deps, 'lib'), { recursive: true });
  await cp(path.join(tensorflow, 'include'), path.join(deps, 'include'), { recursive: true });
  for (const name of [cc, framework]) await rename(path.join(tensorflow, name), path.join(deps, 'lib', name));
  await symlink(cc, path.join(deps, 'lib/libtensorflow.so'));
  await symlink(framework, path.join(deps, 'lib/libtensorflow_framework.so'));
}

async function compile(output: string, addon: string, nodedir: string | undefined): Promise<void> {
  const gyp = path.join(output, 'node_modules/node-gyp/bin/node-gyp.js');
  const place = path.join(addon, `lib/napi-v${NAPI}`);
  await runCommand(
    process.execPath,
    [
      ...[gyp, 'rebuild', `--directory=${addon}`, '--module_name=tfjs_binding', `--module_path=${place}`],
      ...[`--napi_version=${NAPI}`, `--napi_build_version=${NAPI}`],
      ...(nodedir === undefined ? [] : [`--nodedir=${nodedir}`]),
    ],
    { cwd: addon },
  );
}

/** One TensorFlow.js for both: the addon registers its backend with the one that the project traces with. */
async function linkProjectsTfjs(output: string): Promise<void> {
  const project = path.resolve(createRequire(import.meta.url).resolve('@tensorflow/tfjs/package.json'), '../..');
  for (const name of await readdir(project)) {
    if (name.startsWith('tfjs-node')) continue;
    const link = path.join(output, 'node_modules/@tensorflow', name);
    await rm(link, { recursive: true, force: true });
    await symlink(path.join(project, name), link);
  }
}

const TRIAL = `
const util = require('util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
const tf = require(process.argv[1]);
const product = Array.from(tf.matMul(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[5], [6]])).dataSync());
if (product.join() !== '17,39') throw new Error('it computed ' + product);
console.log(tf.backend().binding.TF_Version);
`;

async function tryOut(addon: string): Promise<string> {
  const quiet = { TF_CPP_MIN_LOG_LEVEL: '2' };
  return (await runCommand(process.execPath, ['-e', TRIAL, addon], { env: quiet })).trim().split('\n').at(-1)!;
}

main(process.argv.slice(2)).catch((thrown: unknown) => {
  const error = SlipError.from(thrown);
  console.error(`build-tensorflow: ${error.toString()}`);
  process.exitCode = error.exitCode;
});
