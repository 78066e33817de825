// Means of the steps of one epoch, for the numbers in parentheses on the console and as a fallback for the epoch line.

export class EpochMeans {
  private readonly sums = new Map<string, { sum: number; count: number }>();

  add(values: Readonly<Record<string, number | undefined>>): void {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) continue;
      const meter = this.sums.get(name) ?? { sum: 0, count: 0 };
      meter.sum += value;
      meter.count += 1;
      this.sums.set(name, meter);
    }
  }

  /** NaN where nothing was added. */
  mean(name: string): number {
    const meter = this.sums.get(name);
    return meter === undefined ? Number.NaN : meter.sum / meter.count;
  }

  clear(): void {
    this.sums.clear();
  }
}
