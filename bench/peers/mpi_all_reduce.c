/* All-reduce of an MPI library: mpi_all_reduce BYTES ROUNDS, one JSON line of figures from rank 0.
   A round is as long as on the slowest rank, as in `slip-launch bench-comm`; every result is checked. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return difference < 0 ? -1 : difference > 0;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, ranks, rounds = atoi(argv[2]);
  long count = atol(argv[1]) / 4;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  float *buffer = malloc(count * sizeof *buffer);
  double *times = malloc(rounds * sizeof *times);
  for (int i = -3; i < rounds; i++) {
    for (long j = 0; j < count; j++) buffer[j] = rank + 1;
    MPI_Barrier(MPI_COMM_WORLD);
    double started = MPI_Wtime();
    MPI_Allreduce(MPI_IN_PLACE, buffer, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    if (i >= 0) times[i] = (MPI_Wtime() - started) * 1e3;
    for (long j = 0; j < count; j++)
      if (buffer[j] != ranks * (ranks + 1) / 2) MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Allreduce(MPI_IN_PLACE, times, rounds, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  if (rank == 0) {
    qsort(times, rounds, sizeof *times, ascending);
    double median = times[rounds / 2];
    printf("{\"timeMs\": %g, \"busBandwidthGBps\": %g}\n", median, count * 4 / median / 1e6 * 2 * (ranks - 1) / ranks);
  }
  MPI_Finalize();
  return 0;
}
