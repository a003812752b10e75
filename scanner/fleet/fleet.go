// Package fleet scans many machines: a list of targets, of which each process takes a
// shard, and one record of each target in a folder or in S3.
//
//	targets, err := fleet.ReadShard("targets.jsonl", file, shard)
//	if err != nil {
//		return err // every mistake in the list, with its line
//	}
//	store, err := fleet.OpenStore(ctx, "s3://bucket/prefix", fleet.StoreOptions{})
//	if err != nil {
//		return err
//	}
//	summary, err := fleet.Run(ctx, targets, store, fleet.Options{Encode: encode})
//
// A record is written whole, and never over another one unless that is asked for. So an
// engine that runs array jobs (Kubernetes, AWS Batch, Slurm) may run a shard again: it
// scans only targets without a record, and two processes with the same target do no harm.
// There is no queue and no server.
package fleet
