compete run photos
