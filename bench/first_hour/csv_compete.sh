compete run leaf
