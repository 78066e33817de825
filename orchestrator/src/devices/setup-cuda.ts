// `npm run setup-cuda`: puts ONNX Runtime's CUDA provider, which its npm package leaves out, beside the rest of it: from NuGet or Python's
// index, or from a file that was brought to a machine without a network.
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { SlipError } from '@slip/core';
import { CUDA_PROVIDER_FILES, cudaFolder, findDeviceFacts, reportOnDevice } from '@slip/devices';
import { runCommand } from './run-command.js';

const require = createRequire(import.meta.url);

function usage(version: string): string {
  return `usage: npm run setup-cuda [-- --from FILE] [-- --python PYTHON]

Puts the CUDA provider of ONNX Runtime ${version} into ${cudaFolder()}.

  (nothing)        downloads it: from NuGet with the script of ONNX Runtime's own package, else from Python's index with pip
  --from FILE      takes it out of a file, on a machine without a network. Either of
                     Microsoft.ML.OnnxRuntime.Gpu.Linux ${version} of NuGet (.nupkg)
                     onnxruntime-gpu ${version} of Python's index (.whl):
                       pip download --no-deps --only-binary=:all: onnxruntime-gpu==${version}
                   or a folder that has its .so files
  --python PYTHON  to download and unpack with; python3 unless given

CUDA 12 and cuDNN 9 themselves come from the machine: slip-launch doctor tells whether they are found.`;
}

async function main(argv: string[]): Promise<void> {
  const { version } = require('onnxruntime-node/package.json') as { version: string };
  const { values } = parseArgs({
    args: argv,
    options: {
      from: { type: 'string' },
      python: { type: 'string', default: 'python3' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(usage(version));
    return;
  }
  if (`${process.platform}-${process.arch}` !== 'linux-x64')
    throw new SlipError('unsupported', 'ONNX Runtime has a CUDA provider for Node on linux-x64 only');
  if (values.from === undefined) await download(version, values.python);
  else await takeFrom(path.resolve(values.from), version, values.python);
  const { isUsable, found, mend } = reportOnDevice('cuda', findDeviceFacts(process.env));
  console.log(`the CUDA provider of ONNX Runtime ${version} is in place`);
  console.log(isUsable ? `ready: ${found}` : `still missing here: ${found}\n  ${mend}`);
}

/** Two indexes have it, and many clusters reach one of them: through a mirror, as pip and NuGet are configured. */
async function download(version: string, python: string): Promise<void> {
  console.log('downloading from NuGet (about 300 MB) ...');
  const script = path.join(path.dirname(require.resolve('onnxruntime-node/package.json')), 'script/install.js');
  const fromNuGet = await failureOf(
    runCommand(process.execPath, [script], { env: { ONNXRUNTIME_NODE_INSTALL: 'cuda12' } }),
  );
  if (fromNuGet === undefined) return;
  console.log("that failed; downloading from Python's index (about 250 MB) ...");
  const scratch = await mkdtemp(path.join(os.tmpdir(), 'slip-cuda-'));
  try {
    const args = ['download', '--no-deps', '--only-binary=:all:', '--dest', scratch, `onnxruntime-gpu==${version}`];
    const fromPython = await failureOf(runCommand(python, ['-m', 'pip', ...args]));
    if (fromPython !== undefined) {
      const hint = `bring a file: npm run setup-cuda -- --from onnxruntime_gpu-${version}-....whl; --help tells more`;
      throw new SlipError(
        'unsupported',
        `${fromNuGet.message}\n${fromPython.message}\nWithout a way to either, ${hint}`,
      );
    }
    const [wheel] = await readdir(scratch);
    await takeFrom(path.join(scratch, wheel), version, python);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function failureOf(work: Promise<unknown>): Promise<Error | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

const EXTRACT = `
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for name in archive.namelist():
        if os.path.basename(name) in sys.argv[3:] and "win" not in name:
            with archive.open(name) as source, open(os.path.join(sys.argv[2], os.path.basename(name)), "wb") as target:
                while block := source.read(1 << 24):
                    target.write(block)
`;

/** Providers and library exchange structures that change between versions. */
async function takeFrom(file: string, version: string, python: string): Promise<void> {
  if (!existsSync(file)) throw new SlipError('data', `--from ${file}: there is no such file or folder`);
  const name = path.basename(file).toLowerCase();
  const isArchive = /\.(whl|nupkg|zip)$/.test(name);
  if (isArchive && !name.includes(version))
    throw new SlipError('config', `--from ${name}: version ${version} is wanted, the same as that of onnxruntime-node`);
  const scratch = isArchive ? await mkdtemp(path.join(os.tmpdir(), 'slip-cuda-')) : undefined;
  try {
    if (scratch !== undefined) await runCommand(python, ['-c', EXTRACT, file, scratch, ...CUDA_PROVIDER_FILES]);
    const folder = scratch ?? file;
    const present = await readdir(folder);
    const missing = CUDA_PROVIDER_FILES.filter((wanted) => !present.includes(wanted));
    if (missing.length > 0) throw new SlipError('data', `${file} has no ${missing.join(' and no ')}`);
    for (const wanted of CUDA_PROVIDER_FILES)
      await copyFile(path.join(folder, wanted), path.join(cudaFolder(), wanted));
  } finally {
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
  }
}

main(process.argv.slice(2)).catch((thrown: unknown) => {
  const error = SlipError.from(thrown);
  console.error(`setup-cuda: ${error.toString()}`);
  process.exitCode = error.exitCode;
});
