// The archives of the sets that are read from binaries: where they are published, their checksums as torchvision has them, and how
// they are unpacked into the folders that it makes.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { SlipError } from '@slip/core';
import { tarMembers } from '../../archives/tar-members.js';

export interface PublishedFile {
  /** Name below the base. */
  readonly name: string;
  readonly md5: string;
}

export interface BinaryArchives {
  /** With a slash at the end. */
  readonly base: string;
  readonly files: readonly PublishedFile[];
  /** Folder in the set's folder that they are unpacked into; archives of tar bring it along. */
  readonly folder: string;
}

export const BINARY_ARCHIVES: Readonly<Record<string, BinaryArchives>> = {
  cifar10: {
    base: 'https://www.cs.toronto.edu/~kriz/',
    files: [{ name: 'cifar-10-python.tar.gz', md5: 'c58f30108f718f92721af3b95e74349a' }],
    folder: 'cifar-10-batches-py',
  },
  cifar100: {
    base: 'https://www.cs.toronto.edu/~kriz/',
    files: [{ name: 'cifar-100-python.tar.gz', md5: 'eb9058c3a382ffc7106e4002c42a8d85' }],
    folder: 'cifar-100-python',
  },
  stl10: {
    base: 'http://ai.stanford.edu/~acoates/stl10/',
    files: [{ name: 'stl10_binary.tar.gz', md5: '91f7769df0f17e558f3565bffb0c7dfb' }],
    folder: 'stl10_binary',
  },
  mnist: {
    base: 'https://ossci-datasets.s3.amazonaws.com/mnist/',
    files: [
      { name: 'train-images-idx3-ubyte.gz', md5: 'f68b3c2dcbeaaa9fbdd348bbdeb94873' },
      { name: 'train-labels-idx1-ubyte.gz', md5: 'd53e105ee54ea40749a09fcbcd1e9432' },
      { name: 't10k-images-idx3-ubyte.gz', md5: '9fb629c4189551a2d022fa330f9573f3' },
      { name: 't10k-labels-idx1-ubyte.gz', md5: 'ec29112dd5afa0611ce80d1b7f02629c' },
    ],
    folder: 'MNIST/raw',
  },
};

/**
 * @param archives `.tar.gz`, or `.gz` files one by one
 * @param target the set's folder; what is unpacked appears there when it is complete
 * @throws SlipError `data` naming an archive that is damaged
 */
export async function unpackBinaries(
  archives: readonly string[],
  { folder }: BinaryArchives,
  target: string,
): Promise<void> {
  const building = path.join(target, `.building-${process.pid}`);
  const made = path.join(building, folder);
  try {
    await mkdir(made, { recursive: true });
    for (const archive of archives) {
      const plain = path.join(building, path.basename(archive, '.gz'));
      await gunzip(archive, plain);
      if (plain.endsWith('.tar')) await untar(plain, building, folder);
      else await rename(plain, path.join(made, path.basename(plain)));
    }
    await mkdir(path.dirname(path.join(target, folder)), { recursive: true });
    await rm(path.join(target, folder), { recursive: true, force: true });
    await rename(made, path.join(target, folder));
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function gunzip(archive: string, plain: string): Promise<void> {
  await pipeline(createReadStream(archive), createGunzip(), createWriteStream(plain)).catch((error: Error) => {
    throw new SlipError(
      'data',
      `${archive} cannot be unpacked: ${error.message}; remove it and it is downloaded again`,
      {
        cause: error,
      },
    );
  });
}

/** Files directly in the archive's one folder; whatever else it may name is not written. */
async function untar(archive: string, building: string, folder: string): Promise<void> {
  const handle = await open(archive, 'r');
  try {
    for await (const { name, begin, length } of tarMembers(archive, handle)) {
      const [top, file, ...deeper] = path.posix.normalize(name).split('/');
      if (top !== folder || file === undefined || file === '..' || deeper.length > 0) continue;
      const bytes = length === 0 ? [] : createReadStream(archive, { start: begin, end: begin + length - 1 });
      await pipeline(bytes, createWriteStream(path.join(building, folder, file)));
    }
  } finally {
    await handle.close();
  }
}
