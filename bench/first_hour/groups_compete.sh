compete run scans --set metric.name=macro_f1
