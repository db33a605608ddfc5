"""What a memory can do, by subject: each class holds the methods of one, and `Memory` is all."""
