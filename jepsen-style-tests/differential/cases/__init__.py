"""What is asked of both clusters: a topic a file, each with its CASES. One that says SLOW runs only when named."""
