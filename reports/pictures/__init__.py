"""What is drawn: charts as data, their pictures, and charts whose points tell their values."""
