"""What the promotion gates let through, over whole lives of bots: noise and planted edges, judged by the product's own code."""
